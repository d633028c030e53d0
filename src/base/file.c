#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static vklm_status fail_errno(const char *path, const char *doing)
{
    vklm_status status = errno == ENOENT || errno == ENOTDIR ? VKLM_NOT_FOUND : VKLM_IO_ERROR;
    return vklm_fail(status, "%s: cannot %s: %s", path, doing, strerror(errno));
}

// Opens a regular file for reading; -1 after vklm_fail into *status.
static int open_regular(const char *path, struct stat *info, vklm_status *status)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        *status = fail_errno(path, "open");
        return -1;
    }
    if (fstat(fd, info) != 0)
        *status = fail_errno(path, "look at");
    else if (!S_ISREG(info->st_mode))
        *status = vklm_fail(VKLM_BAD_FILE, "%s: not a file", path);
    else
        return fd;
    close(fd);
    return -1;
}

vklm_status vklm_file_map_open(const char *path, vklm_file_map *out_map)
{
    *out_map = (vklm_file_map){0};
    struct stat info;
    vklm_status status;
    int fd = open_regular(path, &info, &status);
    if (fd < 0)
        return status;
    if (info.st_size > 0) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            status = fail_errno(path, "map");
            close(fd);
            return status;
        }
        out_map->data = data;
        out_map->size = (uint64_t)info.st_size;
    }
    close(fd);
    return VKLM_OK;
}

void vklm_file_map_close(vklm_file_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, (size_t)map->size);
    *map = (vklm_file_map){0};
}

void vklm_file_map_drop(const vklm_file_map *map, uint64_t offset, uint64_t len)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t first = (offset + page - 1) / page * page, last = (offset + len) / page * page;
    if (map->data && last > first)
        madvise((void *)(uintptr_t)(map->data + first), (size_t)(last - first), MADV_DONTNEED);
}

vklm_status vklm_file_read(const char *path, size_t max_bytes, vklm_string *out)
{
    struct stat info;
    vklm_status status;
    int fd = open_regular(path, &info, &status);
    if (fd < 0)
        return status;
    status = VKLM_OK;
    if ((uint64_t)info.st_size > max_bytes)
        status = vklm_fail(VKLM_BAD_FILE, "%s: %lld bytes, more than the %zu that are read", path,
                           (long long)info.st_size, max_bytes);
    char chunk[65536];
    ssize_t n = 0;
    while (status == VKLM_OK && (n = read(fd, chunk, sizeof chunk)) > 0)
        vklm_string_append(out, chunk, (size_t)n);
    if (n < 0)
        status = fail_errno(path, "read");
    else if (status == VKLM_OK && out->failed)
        status = vklm_fail_memory(path);
    close(fd);
    return status;
}

bool vklm_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool vklm_file_exists_in(const char *folder, const char *name)
{
    int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool exists = directory >= 0 && faccessat(directory, name, F_OK, 0) == 0;
    if (directory >= 0)
        close(directory);
    return exists;
}

bool vklm_file_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool vklm_file_is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    bool empty = true;
    for (struct dirent *entry; empty && (entry = readdir(folder));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(folder);
    return empty;
}

void vklm_file_join(vklm_string *out, const char *folder, const char *name)
{
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/')
        len--;
    vklm_string_append(out, folder, len);
    if (len > 0 && folder[len - 1] != '/')
        vklm_string_append(out, "/", 1);
    vklm_string_append(out, name, strlen(name));
}

vklm_status vklm_file_make_folders(const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return vklm_fail_memory("a path");
    vklm_status status = VKLM_OK;
    for (char *p = copy + 1; status == VKLM_OK; p++) {
        char end = *p;
        if (end != '/' && end != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, 0777) != 0 && !vklm_file_is_folder(copy))
            status = fail_errno(copy, "create the folder");
        *p = end;
        if (end == '\0')
            break;
    }
    free(copy);
    return status;
}

vklm_status vklm_file_copy(const char *from, const char *to)
{
    vklm_file_map map;
    vklm_file_writer *writer;
    vklm_status status = vklm_file_map_open(from, &map);
    if (status != VKLM_OK)
        return status;
    status = vklm_file_writer_open(to, &writer);
    if (status == VKLM_OK) {
        vklm_file_writer_write(writer, map.data, (size_t)map.size);
        status = vklm_file_writer_commit(writer);
        vklm_file_writer_close(writer);
    }
    vklm_file_map_close(&map);
    return status;
}

vklm_status vklm_file_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 ? VKLM_OK : fail_errno(to, "create");
}

void vklm_file_remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));)
        unlinkat(dirfd(folder), entry->d_name, 0); // . and .. refuse
    closedir(folder);
    rmdir(path);
}

struct vklm_file_writer {
    FILE *file;
    char *path, *temporary;
    int error;             // errno of the first failed write
    uint64_t at, error_at; // bytes written in a row; where the first failure was
};

vklm_status vklm_file_writer_open(const char *path, vklm_file_writer **out_writer)
{
    *out_writer = NULL;
    vklm_string temporary = {0};
    vklm_string_print(&temporary, "%s.%ld.part", path, (long)getpid());
    vklm_file_writer *w = vklm_alloc(1, sizeof *w);
    if (!w || temporary.failed) {
        free(w);
        vklm_string_finish(&temporary);
        return vklm_fail_memory("a file writer");
    }
    w->temporary = temporary.data;
    w->path = strdup(path);
    w->file = w->path ? fopen(w->temporary, "wbe") : NULL;
    if (!w->file) {
        vklm_status status =
            w->path ? fail_errno(path, "create") : vklm_fail_memory("a file writer");
        vklm_file_writer_close(w);
        return status;
    }
    *out_writer = w;
    return VKLM_OK;
}

void vklm_file_writer_write(vklm_file_writer *writer, const void *data, size_t len)
{
    if (!writer->error && len && fwrite(data, 1, len, writer->file) != len) {
        writer->error = errno ? errno : EIO;
        writer->error_at = writer->at;
    }
    writer->at += len;
}

vklm_status vklm_file_writer_reserve(vklm_file_writer *writer, uint64_t bytes)
{
    int error = posix_fallocate(fileno(writer->file), 0, (off_t)bytes);
    if (error == ENOSPC || error == EFBIG) {
        struct statvfs disk = {0};
        uint64_t room = 0;
        if (fstatvfs(fileno(writer->file), &disk) == 0)
            room = (uint64_t)disk.f_bavail * disk.f_frsize;
        if (ftruncate(fileno(writer->file), 0) == 0 && room == 0 &&
            fstatvfs(fileno(writer->file), &disk) == 0)
            room = (uint64_t)disk.f_bavail * disk.f_frsize;
        return vklm_fail(VKLM_IO_ERROR, "%s: %llu bytes are wanted, the disk has %llu free",
                         writer->path, (unsigned long long)bytes, (unsigned long long)room);
    }
    if (error && error != EOPNOTSUPP && error != EINVAL) {
        errno = error;
        return fail_errno(writer->path, "reserve room");
    }
    return VKLM_OK;
}

void vklm_file_writer_write_at(vklm_file_writer *writer, uint64_t offset, const void *data,
                               size_t len)
{
    const char *from = data;
    while (!writer->error && len) {
        ssize_t n = pwrite(fileno(writer->file), from, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            writer->error = n < 0 ? errno : EIO;
            writer->error_at = offset;
            return;
        }
        from += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
}

vklm_status vklm_file_writer_map(vklm_file_writer *writer, vklm_file_map *out_map)
{
    *out_map = (vklm_file_map){0};
    if (!writer->error && fflush(writer->file) != 0)
        writer->error = errno;
    if (writer->error) {
        errno = writer->error;
        return fail_errno(writer->path, "write");
    }
    return vklm_file_map_open(writer->temporary, out_map);
}

vklm_status vklm_file_writer_commit(vklm_file_writer *writer)
{
    if (!writer->error && (fflush(writer->file) != 0 || fsync(fileno(writer->file)) != 0))
        writer->error = errno;
    if (fclose(writer->file) != 0 && !writer->error)
        writer->error = errno;
    writer->file = NULL;
    if (!writer->error && rename(writer->temporary, writer->path) != 0)
        writer->error = errno;
    if (writer->error)
        return vklm_fail(VKLM_IO_ERROR, "%s: cannot write at byte %llu: %s", writer->path,
                         (unsigned long long)writer->error_at, strerror(writer->error));
    free(writer->temporary);
    writer->temporary = NULL; // committed: nothing left to remove
    return VKLM_OK;
}

void vklm_file_writer_close(vklm_file_writer *writer)
{
    if (!writer)
        return;
    if (writer->file)
        fclose(writer->file);
    if (writer->temporary)
        unlink(writer->temporary);
    free(writer->temporary);
    free(writer->path);
    free(writer);
}
