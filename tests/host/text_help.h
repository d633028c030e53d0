// What the tests of src/text share: JSON lines, and model folders made on the spot.
#ifndef TEXT_HELP_H
#define TEXT_HELP_H

#include <vklm/text.h>

#include "base/json.h"

// Calls `check` with each line of a file of JSON objects, and returns how many there were; 0
// without the file.
typedef void (*json_line_check)(const cJSON *line, size_t number, void *opaque);
size_t for_each_json_line(const char *path, json_line_check check, void *opaque);

// The ids of a JSON array, [*out_n]; released with free().
uint32_t *json_ids(const cJSON *array, size_t *out_n);

// A new empty folder; remove_folder() removes it with the files in it.
char *make_folder(void);
void remove_folder(char *folder);
void write_text(const char *folder, const char *name, const char *text);

// Opens a folder that holds only this tokenizer.json, in which ' stands for ".
vklm_status open_json(const char *json, vklm_tokenizer **out_tokenizer);

#define EXPECT_OK(call)                                                                            \
    do {                                                                                           \
        vklm_status status_of_call = (call);                                                       \
        cr_assert_eq(status_of_call, VKLM_OK, "%s: %s", #call, vklm_error_message());              \
    } while (0)

#endif
