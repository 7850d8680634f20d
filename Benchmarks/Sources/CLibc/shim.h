#include <stddef.h>
#include <sys/epoll.h>

// string.h has it under _GNU_SOURCE only.
void *memmem(const void *haystack, size_t haystack_length, const void *needle, size_t needle_length);
