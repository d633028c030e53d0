// vklm/commands.h: the subcommands. argv[0] is the command's name; the result is the exit status:
// 0, 1 after an error, 2 after wrong usage.
#ifndef VKLM_TOOLS_COMMANDS_H
#define VKLM_TOOLS_COMMANDS_H

int vklm_command_batch(int argc, char **argv);
int vklm_command_chat(int argc, char **argv);
int vklm_command_detokenize(int argc, char **argv);
int vklm_command_devices(int argc, char **argv);
int vklm_command_importance(int argc, char **argv);
int vklm_command_info(int argc, char **argv);
int vklm_command_logits(int argc, char **argv);
int vklm_command_pack(int argc, char **argv);
int vklm_command_plan(int argc, char **argv);
int vklm_command_run(int argc, char **argv);
int vklm_command_score(int argc, char **argv);
int vklm_command_synth(int argc, char **argv);
int vklm_command_tokenize(int argc, char **argv);

#endif
