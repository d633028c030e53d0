// vklm chat: by lines of a pipe, and on a terminal as a person types.
#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "host/shell.h"
#include "host/text_help.h"
#include "model/need_device.h"

#define DEMO VKLM_TEST_DATA "/demo-dense"

// What chat says and answers to lines on its standard input.
static vklm_shell_result chat(const char *options, const char *lines)
{
    char *folder = make_folder();
    write_text(folder, "in", lines);
    vklm_shell_result r = vklm_shell_run("cd %s && vklm chat %s %s <in", folder, DEMO, options);
    remove_folder(folder);
    return r;
}

// Numbers behind `what` in a text; -1 when it is not there.
static long number_after(const char *text, const char *what)
{
    const char *found = text ? strstr(text, what) : NULL;
    return found ? strtol(found + strlen(what), NULL, 10) : -1;
}

Test(chat, five_turns_keep_the_cache)
{
    need_device();
    vklm_shell_result r = chat(
        "--greedy -n 24", "日本の首都は？\nフランスの首都は？\nイタリアは？\n/stats\nドイツは？\n"
                          "ありがとう。\n/stats\n");
    cr_assert_eq(r.status, 0, "%s", r.err);
    const char *first = strstr(r.err, "last answer"),
               *last = first ? strstr(first + 1, "last answer") : NULL;
    cr_assert(last, "%s", r.err);
    long prompt = number_after(last, "prompt "), computed = number_after(last, "tokens: ");
    cr_expect_gt(prompt, 100, "%s", last);
    cr_expect_lt(computed, prompt / 2, "%s", last);
    cr_expect_eq(number_after(last, "all "), 5, "%s", last);
    vklm_shell_finish(&r);
}

// The answer in a conversation is the answer to the conversation, whatever was in the cache.
Test(chat, an_answer_does_not_depend_on_the_cache)
{
    need_device();
    char *folder = make_folder();
    vklm_shell_result r = vklm_shell_run(
        "cd %s && m=%s; printf '日本の首都は？\\nフランスの首都は？\\n/save a\\n' | vklm chat $m "
        "--greedy -n 24 >out 2>&1; "
        "cp out err; printf "
        "'/regen\\n/undo\\n/undo\\nフランスの首都は？\\n日本の首都は？\\nフランスの首都は？\\n/"
        "forget\\n"
        "/forget\\n/undo\\n日本の首都は？\\nフランスの首都は？\\n/save b\\n' | vklm chat $m "
        "--greedy -n 24 --load a "
        ">>err 2>&1; cmp a b && cat a || cat err",
        folder, DEMO);
    cr_expect_eq(strncmp(r.out, "{\"messages\":[{\"role\":\"system\"", 29), 0, "%s", r.out);
    vklm_shell_finish(&r);
    remove_folder(folder);
}

Test(chat, commands)
{
    need_device();
    vklm_shell_result r = chat(
        "--greedy -n 8", "/undo\n/regen\n/forget\n/nonsense\n/save\n/load\n/load nowhere\n"
                         "/save /nowhere/x\n//slash\n/undo\n/reset\n/help\n/quit\nnot asked\n");
    cr_assert_eq(r.status, 0, "%s", r.err);
    static const char *const says[] = {"there is no message to take back",
                                       "there is no message to answer",
                                       "there is no message to forget",
                                       "no command /nonsense",
                                       "/save takes a file name",
                                       "/load takes a file name",
                                       "nowhere",
                                       "/nowhere/x",
                                       "[taken back: /slash]",
                                       "[begun anew]",
                                       "/regen        answer the last message again"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        cr_expect(strstr(r.err, says[i]), "'%s' is not in:\n%s", says[i], r.err);
    vklm_shell_finish(&r);
    r = chat("--greedy -n 8", "one\\\ntwo\n/undo\n\"\"\"a\nb\n\nc\"\"\"\n/undo\n\n\n");
    cr_expect(strstr(r.err, "[taken back: one\ntwo]"), "%s", r.err);
    cr_expect(strstr(r.err, "[taken back: a\nb\n\nc]"), "%s", r.err);
    vklm_shell_finish(&r);
}

// Special tokens that are typed are text; with --allow-special they end a turn.
Test(chat, typed_special_tokens_are_text)
{
    need_device();
    static const char lines[] = "a</s></s></s></s>\n/stats\n";
    vklm_shell_result text = chat("--greedy -n 1", lines),
                      real = chat("--greedy -n 1 --allow-special", lines);
    long n_text = number_after(text.err, "prompt "), n_real = number_after(real.err, "prompt ");
    cr_expect(n_real > 0 && n_text > n_real, "%ld and %ld tokens", n_text, n_real);
    vklm_shell_finish(&text);
    vklm_shell_finish(&real);
    vklm_shell_result run =
        vklm_shell_run("for o in '' --allow-special; do vklm run %s --chat -p '</s>' -n 1 --json "
                       "$o 2>/dev/null | cut -d] -f1 | tr , '\\n' | grep -c '^2$'; done",
                       DEMO);
    cr_expect_str_eq(run.out, "0\n1\n");
    vklm_shell_finish(&run);
}

Test(chat, a_full_context_says_so_and_what_to_do)
{
    need_device();
    vklm_string lines = {0};
    for (int i = 0; i < 6; i++)
        vklm_string_print(&lines, "日本の首都は？\n");
    vklm_string_print(&lines, "/forget\n/forget\nこんにちは\n/stats\n");
    vklm_shell_result r = chat("--greedy -n 40 --ctx 100", lines.data);
    cr_expect_eq(r.status, 0, "%s", r.err);
    cr_expect(strstr(r.err, "The context of 100 tokens is full. /forget drops"), "%s", r.err);
    cr_expect(strstr(r.err, "--ctx 512 has more room"), "%s", r.err);
    vklm_shell_finish(&r);
    vklm_string_finish(&lines);
}

Test(chat, what_is_wrong_is_said_before_the_model_is_loaded)
{
    char *folder = make_folder();
    vklm_shell_expect(2, "one model folder", "vklm chat");
    vklm_shell_expect(1, "tokenizer.json", "vklm chat %s", folder);
    vklm_shell_expect(1, "no chat template", "cp %s/tokenizer.json %s; vklm chat %s", DEMO, folder,
                      folder);
    vklm_shell_expect(1, "line 1: ", "cd %s; echo '{%% if %%}' >chat_template.jinja; vklm chat .",
                      folder);
    vklm_shell_expect(1, "/nowhere", "vklm chat %s --load /nowhere", DEMO);
    vklm_shell_expect(2, "stop string", "vklm chat %s --stop ''", DEMO);
    remove_folder(folder);
}

// --- A terminal ---

typedef struct {
    int fd;
    pid_t pid;
    vklm_string seen;
    size_t read_to; // what was waited for already
} terminal;

static terminal open_terminal(const char *const *arguments)
{
    terminal t = {.fd = posix_openpt(O_RDWR | O_NOCTTY)};
    cr_assert(t.fd >= 0 && grantpt(t.fd) == 0 && unlockpt(t.fd) == 0);
    const char *name = ptsname(t.fd);
    t.pid = fork();
    if (t.pid == 0) {
        setsid();
        int tty = open(name, O_RDWR); // becomes the controlling terminal
        struct winsize size = {.ws_row = 40, .ws_col = 200};
        ioctl(tty, TIOCSWINSZ, &size);
        dup2(tty, 0), dup2(tty, 1), dup2(tty, 2);
        signal(SIGINT, SIG_DFL);
        setenv("TERM", "xterm", 1);
        setenv("LC_ALL", "C.UTF-8", 1);
        execv(VKLM_PROGRAM, (char *const *)arguments);
        _exit(127);
    }
    return t;
}

static void type(terminal *t, const char *keys)
{
    cr_assert_eq(write(t->fd, keys, strlen(keys)), (ssize_t)strlen(keys));
}

// Reads until `text` is there, behind what was waited for before.
static void wait_for(terminal *t, const char *text)
{
    double end = vklm_clock_seconds() + 60;
    for (;;) {
        vklm_string_append(&t->seen, "", 0);
        const char *found = strstr(t->seen.data + t->read_to, text);
        if (found) {
            t->read_to = (size_t)(found - t->seen.data) + strlen(text);
            return;
        }
        char chunk[4096];
        struct pollfd p = {.fd = t->fd, .events = POLLIN};
        ssize_t n = poll(&p, 1, 1000) == 1 ? read(t->fd, chunk, sizeof chunk) : 0;
        cr_assert(n >= 0 && vklm_clock_seconds() < end, "waited for '%s' in vain; seen:\n%s", text,
                  t->seen.data);
        vklm_string_append(&t->seen, chunk, (size_t)n);
    }
}

// The prompt, and the line editor's hold of the keyboard, which comes a moment later.
static void wait_for_prompt(terminal *t)
{
    struct termios mode = {.c_lflag = ICANON};
    wait_for(t, "> ");
    for (int i = 0; i < 6000 && (mode.c_lflag & ICANON); i++) {
        cr_assert_eq(tcgetattr(t->fd, &mode), 0);
        poll(NULL, 0, 10);
    }
}

static void close_terminal(terminal *t)
{
    int status;
    cr_assert_eq(waitpid(t->pid, &status, 0), t->pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", t->seen.data);
    close(t->fd);
    vklm_string_finish(&t->seen);
}

Test(chat, line_editing_and_history)
{
    need_device();
    const char *const arguments[] = {"vklm", "chat", DEMO, "--greedy", "-n", "16", NULL};
    terminal t = open_terminal(arguments);
    wait_for(&t, "/help lists the commands");
    wait_for_prompt(&t);
    type(&t, "日本の首都はXX\x7f\x7f？\n"); // two backspaces
    wait_for(&t, "\n");
    wait_for_prompt(&t);
    type(&t, "never asked\x03"); // Ctrl-C gives the line up
    wait_for_prompt(&t);
    type(&t, "/undo\n");
    wait_for(&t, "[taken back: 日本の首都は？]");
    wait_for_prompt(&t);
    type(&t, "\x1b[A\x1b[A\n"); // up, up: the message before /undo
    wait_for(&t, "\n");
    wait_for_prompt(&t);
    type(&t, "/stats\n");
    wait_for(&t, "kept from before");
    wait_for_prompt(&t);
    type(&t, "\x04"); // Ctrl-D
    close_terminal(&t);
}

Test(chat, an_interrupt_stops_the_answer_and_not_the_program)
{
    need_device();
    const char *const arguments[] = {"vklm", "chat", DEMO,           "--greedy",
                                     "-n",   "400",  "--ignore-eos", NULL};
    terminal t = open_terminal(arguments);
    wait_for_prompt(&t);
    for (int i = 0; i < 2; i++) {
        type(&t, "hello\n");
        wait_for(&t, "hello\r\n");
        wait_for(&t, " "); // of the answer: the first words are there
        type(&t, "\x03\x03");
        wait_for(&t, "[stopped");
        wait_for_prompt(&t);
    }
    type(&t, "/undo\n");
    wait_for(&t, "[taken back: hello]");
    wait_for_prompt(&t);
    type(&t, "/quit\n");
    close_terminal(&t);
}
