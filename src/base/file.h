// base/file.h: files: mapping, reading, and writing that leaves nothing half-done.
#ifndef VKLM_BASE_FILE_H
#define VKLM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/array.h"

// A file mapped read-only. `data` is NULL for an empty file.
typedef struct {
    const unsigned char *data;
    uint64_t size;
} vklm_file_map;

vklm_status vklm_file_map_open(const char *path, vklm_file_map *out_map);
void vklm_file_map_close(vklm_file_map *map);

// Tells the system that bytes [offset, offset + len) will not be needed again, so that a model
// larger than memory can stream through. A hint; failure does not matter.
void vklm_file_map_drop(const vklm_file_map *map, uint64_t offset, uint64_t len);

// Appends a whole file to `out`, refusing more than `max_bytes`.
vklm_status vklm_file_read(const char *path, size_t max_bytes, vklm_string *out);

bool vklm_file_exists(const char *path);
bool vklm_file_exists_in(const char *folder, const char *name); // allocates nothing
bool vklm_file_is_folder(const char *path);
bool vklm_file_is_empty_folder(const char *path);

// Appends "folder/name" to `out`.
void vklm_file_join(vklm_string *out, const char *folder, const char *name);

// Creates every missing folder of `path`.
vklm_status vklm_file_make_folders(const char *path);

// Copies a file, which appears complete.
vklm_status vklm_file_copy(const char *from, const char *to);

// Renames a file or a folder; a folder in the way must be empty.
vklm_status vklm_file_rename(const char *from, const char *to);

// Removes a folder and the files in it, but no folders inside. Failure does not matter.
void vklm_file_remove_folder(const char *path);

// Writes a file under a temporary name beside `path`; it appears, complete, at commit. Close
// without commit removes it. Failure is sticky and reported by commit, with the place in the file.
typedef struct vklm_file_writer vklm_file_writer;
vklm_status vklm_file_writer_open(const char *path, vklm_file_writer **out_writer);
void vklm_file_writer_write(vklm_file_writer *writer, const void *data, size_t len);

// For a file whose size is known: takes its room on the disk at once, so that a full disk is found
// before any work is done. VKLM_IO_ERROR with the bytes wanted and free.
vklm_status vklm_file_writer_reserve(vklm_file_writer *writer, uint64_t bytes);

// Writes into the reserved room.
void vklm_file_writer_write_at(vklm_file_writer *writer, uint64_t offset, const void *data,
                               size_t len);

// Maps what was written so far.
vklm_status vklm_file_writer_map(vklm_file_writer *writer, vklm_file_map *out_map);

vklm_status vklm_file_writer_commit(vklm_file_writer *writer);
void vklm_file_writer_close(vklm_file_writer *writer); // takes NULL

#endif
