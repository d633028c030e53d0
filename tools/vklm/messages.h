// vklm/messages.h: a conversation, as a list of messages and as JSON.
#ifndef VKLM_TOOLS_MESSAGES_H
#define VKLM_TOOLS_MESSAGES_H

#include <vklm/text.h>

#include "base/json.h"

// The system message that LLM-jp's instruct models were trained with. Their template prints this
// sentence for any system message, and none without one.
#define VKLM_LLM_JP_SYSTEM "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。"

// All-zero is empty. The strings belong to the list.
typedef struct {
    vklm_chat_message *items; // [n]
    size_t n, capacity;
} vklm_messages;

// Copies both. A content that is not text (NUL inside) is refused.
vklm_status vklm_messages_add(vklm_messages *messages, const char *role, const char *content,
                              size_t content_len);

// Removes all from `first` on.
void vklm_messages_cut(vklm_messages *messages, size_t first);

// Removes messages [first, first + n).
void vklm_messages_remove(vklm_messages *messages, size_t first, size_t n);
void vklm_messages_finish(vklm_messages *messages);

// Appends the messages of an array of {"role": …, "content": …}. A content may also be a list of
// {"type": "text", "text": …}, which are joined, or null. The sentence names the wrong one.
vklm_status vklm_messages_read(const cJSON *array, vklm_messages *messages);

// Appends the array.
void vklm_messages_print(const vklm_messages *messages, vklm_string *out);

#endif
