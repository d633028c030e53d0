// vklm: the program. Every subcommand is a file of its own.
#include <stdio.h>
#include <string.h>

#include <vklm/vklm.h>

#include "vklm/commands.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} commands[] = {
    {"run", vklm_command_run, "generate text from a prompt"},
    {"chat", vklm_command_chat, "talk to a model in the terminal"},
    {"devices", vklm_command_devices, "list the Vulkan devices and what they can do"},
    {"info", vklm_command_info, "show what a model folder holds"},
    {"plan", vklm_command_plan, "what a model needs on the device, before it is loaded"},
    {"pack", vklm_command_pack, "write a copy of a model with 8- or 4-bit weights"},
    {"importance", vklm_command_importance, "find which weights matter, for pack"},
    {"synth", vklm_command_synth, "write a random model of a real one's shapes"},
    {"tokenize", vklm_command_tokenize, "text to token ids"},
    {"detokenize", vklm_command_detokenize, "token ids to text"},
    {"batch", vklm_command_batch, "answer a file of questions"},
    {"score", vklm_command_score, "log-probabilities and perplexity of a text"},
    {"logits", vklm_command_logits, "write the logits of a text to a file"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *to)
{
    fprintf(to, "usage: vklm COMMAND [ARGUMENT...]\n\n"
                "Runs LLM-jp and other Llama models on any Vulkan device.\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].what);
    fprintf(to, "\n'vklm COMMAND --help' tells more; 'vklm --version' prints the version.\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        printf("vklm %s\n", vklm_version());
        return 0;
    }
    if (*name)
        fprintf(stderr, "vklm: no command '%s'\n", name);
    print_help(stderr);
    return 2;
}
