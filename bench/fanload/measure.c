/* The clock, a histogram of latencies, and what /proc says of the measured server. */
#define _GNU_SOURCE
#include "fanload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* A logarithmic histogram: 64 steps for each power of two of microseconds, so an error of at most 1.6 %. */
enum { STEPS = 64, BUCKETS = 64 * STEPS };
static uint64_t histogram[BUCKETS];

void die(const char *what)
{
    perror(what);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double seconds_since(uint64_t start)
{
    return (double)(now_ns() - start) / 1e9;
}

void latency_record(uint64_t ns)
{
    uint64_t us = ns / 1000;
    int bucket = (int)us;
    if (us >= STEPS) {
        int exponent = 63 - __builtin_clzll(us);
        bucket = (exponent - 5) * STEPS + (int)((us >> (exponent - 6)) & (STEPS - 1));
    }
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

void latency_forget(void)
{
    memset(histogram, 0, sizeof histogram);
}

static double bucket_ms(int bucket)
{
    if (bucket < STEPS)
        return bucket / 1000.0;
    int exponent = bucket / STEPS + 5;
    return (double)((1ull << exponent) + ((uint64_t)(bucket % STEPS) << (exponent - 6))) / 1000.0;
}

/* The latency that `share` (0 to 1) of the deliveries stayed below, in milliseconds; -1 without deliveries. */
double latency_ms(double share)
{
    uint64_t total = 0, below = 0;
    for (int i = 0; i < BUCKETS; i++)
        total += histogram[i];
    for (int i = 0; i < BUCKETS; i++) {
        below += histogram[i];
        if (below > share * (double)total)
            return bucket_ms(i);
    }
    return -1;
}

static size_t read_proc(int pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t length = fread(text, 1, size - 1, file);
    fclose(file);
    text[length] = 0;
    return length;
}

static double cpu_of(int pid)
{
    char text[1024];
    unsigned long long user = 0, system = 0;
    if (!read_proc(pid, "stat", text, sizeof text))
        return 0;
    char *after_name = strrchr(text, ')');
    if (after_name)
        sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static long rss_of(int pid)
{
    char text[4096];
    if (!read_proc(pid, "status", text, sizeof text))
        return 0;
    char *line = strstr(text, "VmRSS:");
    return line ? atol(line + 6) : 0;
}

struct usage server_usage(void)
{
    struct usage sum = {0, 0};
    for (int i = 0; i < opt.pid_count; i++) {
        sum.cpu_s += cpu_of(opt.pids[i]);
        sum.rss_kib += rss_of(opt.pids[i]);
    }
    return sum;
}

double own_cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
