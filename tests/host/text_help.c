#include "host/text_help.h"

#include <criterion/criterion.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

size_t for_each_json_line(const char *path, json_line_check check, void *opaque)
{
    vklm_string text = {0};
    if (vklm_file_read(path, 64 << 20, &text) != VKLM_OK)
        return 0;
    size_t number = 0;
    for (char *line = text.data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        cJSON *json;
        EXPECT_OK(vklm_json_parse(line, (size_t)(end - line), path, &json));
        check(json, ++number, opaque);
        cJSON_Delete(json);
    }
    vklm_string_finish(&text);
    return number;
}

uint32_t *json_ids(const cJSON *array, size_t *out_n)
{
    *out_n = (size_t)cJSON_GetArraySize(array);
    uint32_t *ids = vklm_alloc(*out_n, sizeof *ids), *to = ids;
    const cJSON *item;
    cJSON_ArrayForEach(item, array) *to++ = (uint32_t)item->valuedouble;
    return ids;
}

char *make_folder(void)
{
    char *folder = strdup("/tmp/vklm-test-XXXXXX");
    cr_assert(folder && mkdtemp(folder));
    return folder;
}

void remove_folder(char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        vklm_string path = {0};
        vklm_file_join(&path, folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path.data);
        vklm_string_finish(&path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
    free(folder);
}

void write_text(const char *folder, const char *name, const char *text)
{
    vklm_string path = {0};
    vklm_file_writer *writer;
    vklm_file_join(&path, folder, name);
    EXPECT_OK(vklm_file_writer_open(path.data, &writer));
    vklm_file_writer_write(writer, text, strlen(text));
    EXPECT_OK(vklm_file_writer_commit(writer));
    vklm_file_writer_close(writer);
    vklm_string_finish(&path);
}

vklm_status open_json(const char *json, vklm_tokenizer **out_tokenizer)
{
    char *folder = make_folder(), *text = strdup(json);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    write_text(folder, "tokenizer.json", text);
    vklm_status status = vklm_tokenizer_open(folder, out_tokenizer);
    free(text);
    remove_folder(folder);
    return status;
}
