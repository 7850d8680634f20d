#define _GNU_SOURCE
#include "clinux.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

int clinux_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int clinux_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

int clinux_epoll_control(int epoll, int op, int descriptor, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = descriptor};
    return epoll_ctl(epoll, op, descriptor, &event);
}

int clinux_epoll_wait(int epoll, int *descriptors, uint32_t *events, int max, int timeout_ms) {
    struct epoll_event ready[64];
    if (max > 64) max = 64;
    int count = epoll_wait(epoll, ready, max, timeout_ms);
    for (int i = 0; i < count; i++) {
        descriptors[i] = ready[i].data.fd;
        events[i] = ready[i].events;
    }
    return count;
}

void clinux_set_thread_name(const char *name) { pthread_setname_np(pthread_self(), name); }

int clinux_set_thread_nice(int nice) { return setpriority(PRIO_PROCESS, (id_t)gettid(), nice); }

int clinux_thread_nice(void) { return getpriority(PRIO_PROCESS, (id_t)gettid()); }

int64_t clinux_cpu_microseconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

int64_t clinux_resident_kib(void) {
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) return 0;
    char line[256];
    long kib = 0;
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, "VmRSS:", 6)) {
            sscanf(line + 6, "%ld", &kib);
            break;
        }
    fclose(file);
    return kib;
}

int64_t clinux_find(const uint8_t *hay, int64_t hay_count, const uint8_t *needle, int64_t needle_count) {
    const uint8_t *hit = memmem(hay, (size_t)hay_count, needle, (size_t)needle_count);
    return hit ? hit - hay : -1;
}
