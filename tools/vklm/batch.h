// vklm/batch.h: what a batch is made of: questions, and what becomes of each.
#ifndef VKLM_TOOLS_BATCH_H
#define VKLM_TOOLS_BATCH_H

#include "vklm/generation.h"
#include "vklm/messages.h"

// Where questions come from, what they are asked with, and in which form the answers are written.
typedef enum {
    VKLM_BATCH_LINES,    // JSON lines of our own
    VKLM_BATCH_MT_BENCH, // llm-jp-judge's mt_bench and ja_mt_bench: two turns, a temperature per
                         // category
    VKLM_BATCH_SAFETY,   // llm-jp-judge's safety: AnswerCarefully
    VKLM_BATCH_EVAL,     // llm-jp-eval-inference
} vklm_batch_form;

// The form of a recipe's name; false when there is none of that name.
bool vklm_batch_find_form(const char *recipe, vklm_batch_form *out_form);

typedef struct {
    size_t line;            // in the file, or its place in a list, from 1: for messages
    cJSON *row;             // what its answer begins with
    bool raw;               // one turn, a text to continue as it is
    bool many;              // answers are a list, also when there is one
    vklm_messages messages; // what stands before the first turn; not of a raw one
    char **turns; // [n_turns] texts of the user; a raw one has one. Empty: the messages are all
    size_t n_turns;
    bool add_special_tokens; // put in front of the prompt what the tokenizer begins with
    vklm_generation generation;
} vklm_batch_item;

typedef struct {
    const char *path;
    vklm_batch_form form;
    vklm_generation generation; // the defaults; those that are all-zero are the recipe's
    const char *system;         // for turns; NULL: none
    bool add_special_tokens;
    bool chat;   // of VKLM_BATCH_EVAL: ask by the chat template
    bool strict; // the first bad line is the end
    void (*on_bad_line)(const char *path, size_t line, const char *message);
} vklm_batch_source;

typedef struct {
    vklm_batch_item *items; // [n]
    size_t n, capacity, n_bad;
    cJSON *whole; // of VKLM_BATCH_EVAL: the file
} vklm_batch;

// Reads all questions. A bad line is reported and left out, or with `strict` a failure. The caller
// finishes *out_batch, also after a failure.
vklm_status vklm_batch_read(const vklm_batch_source *source, vklm_batch *out_batch);
void vklm_batch_finish(vklm_batch *batch);

// --- batch_write.c ---

typedef struct {
    cJSON *texts; // a list, one for each turn
    const char *finish;
    size_t n_prompt, n_tokens;
} vklm_batch_answer;

// A string for a line, which may hold U+0000: what cJSON's own would end at. NULL when memory is
// short.
cJSON *vklm_batch_text(const vklm_string *text);

// The line of an answer, or of the error instead; takes what it uses out of the answer. NULL when
// memory is short.
cJSON *vklm_batch_line(vklm_batch_form form, const vklm_batch_item *item, vklm_batch_answer *answer,
                       const char *error);

// Counts the answers that a run before has written to `path`, which may not be there, and cuts off
// a last line without its end. VKLM_INVALID_ARGUMENT when they answer other questions than these.
vklm_status vklm_batch_take_old(const vklm_batch *batch, const char *questions, const char *path,
                                size_t *out_n);

// Puts the answers of the file `lines` into the file that the samples came in, writes that to
// `path`, and removes `lines`. Changes batch->whole.
vklm_status vklm_batch_write_eval(const vklm_batch *batch, const char *lines, const char *path);

// llm-jp-judge wants to know whose answers it reads: metadata.json beside `answers`, unless there
// is one.
vklm_status vklm_batch_write_metadata(const char *answers, const char *model);

#endif
