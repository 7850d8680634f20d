#define _GNU_SOURCE
#include "cspawn.h"
#include <fcntl.h>
#include <spawn.h>

int cspawn(int *process, char *const arguments[], char *const environment[], const char *directory, int input, int output, int error) {
    const int streams[3] = {input, output, error};
    posix_spawn_file_actions_t actions;
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0) return code;
    for (int number = 0; number < 3 && code == 0; number++) {
        code = streams[number] >= 0
            ? posix_spawn_file_actions_adddup2(&actions, streams[number], number)
            : posix_spawn_file_actions_addopen(&actions, number, "/dev/null", number == 0 ? O_RDONLY : O_WRONLY, 0);
    }
    if (code == 0) code = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (code == 0 && directory) code = posix_spawn_file_actions_addchdir_np(&actions, directory);
    if (code == 0) {
        pid_t pid = 0;
        code = posix_spawnp(&pid, arguments[0], &actions, 0, arguments, environment);
        *process = pid;
    }
    posix_spawn_file_actions_destroy(&actions);
    return code;
}
