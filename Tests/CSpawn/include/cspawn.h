#ifndef CSPAWN_H
#define CSPAWN_H
/* posix_spawnp with parts that glibc has and Swift's own import of it hides: of the caller's descriptors the child gets these three (-1:
   /dev/null) and no others, and it starts in `directory` (NULL: the caller's). Returns 0 and the process, or an errno. */
int cspawn(int *process, char *const arguments[], char *const environment[], const char *directory, int input, int output, int error);
#endif
