/* One connection, a fixed number of requests in flight (1: each waits for the answer before): how often a server answers.
 *
 *     pingpong PORT SECONDS IN_FLIGHT END [HELLO UNTIL]... <requests
 *
 * Connects to 127.0.0.1:PORT, sends each HELLO and waits until UNTIL came back; then sends the requests of standard input
 * over and over. An answer is over when END has come, so END must be in every answer once. Standard input: every request as
 * four bytes of length (big endian) and its bytes. HELLO, UNTIL and END are texts, or "@FILE" for what a file holds. Prints
 * one JSON object: answers and seconds, those sent before measuring began ("warm", not among the answers), and the median
 * and 99th percentile of the time from request to answer in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { MOST_REQUESTS = 1024, MOST_IN_FLIGHT = 256, LONGEST = 1 << 20, MOST_ANSWERS = 1 << 22, WARM = 500, PATIENCE = 5 };

struct text {
    char *bytes;
    size_t size;
};

static struct text requests[MOST_REQUESTS];
static char received[LONGEST];
static size_t held;
static uint32_t times[MOST_ANSWERS + MOST_IN_FLIGHT];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void refuse(const char *why)
{
    fprintf(stderr, "pingpong: %s\n", why);
    exit(1);
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static struct text text(const char *word)
{
    struct text made = {malloc(1 << 16), 0};
    if (*word == '@') {
        FILE *file = fopen(word + 1, "rb");
        if (!file)
            fail(word + 1);
        made.size = fread(made.bytes, 1, 1 << 16, file);
        fclose(file);
    } else {
        made.size = strlen(word);
        memcpy(made.bytes, word, made.size);
    }
    return made;
}

static int connection(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {PATIENCE, 0};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to))
        fail("connect");
    return fd;
}

static void ask(int fd, struct text request)
{
    for (size_t sent = 0; sent < request.size;) {
        ssize_t count = send(fd, request.bytes + sent, request.size - sent, MSG_NOSIGNAL);
        if (count < 0)
            fail("send");
        sent += count;
    }
}

/* Reads once, at least one byte, and takes away every whole answer. Returns how many there were. */
static int answers_read(int fd, struct text end)
{
    int count = 0;
    char *from = received, *found;
    ssize_t more = recv(fd, received + held, sizeof received - held, 0);
    if (more <= 0) {
        fprintf(stderr, "pingpong: an answer has no end: %.*s\n", (int)(held > 400 ? 400 : held), received);
        exit(1);
    }
    held += more;
    while ((found = memmem(from, received + held - from, end.bytes, end.size))) {
        from = found + end.size;
        count++;
    }
    held = received + held - from;
    memmove(received, from, held);
    return count;
}

static int read_requests(void)
{
    unsigned char length[4];
    int count = 0;
    for (; count < MOST_REQUESTS && fread(length, 4, 1, stdin) == 1; count++) {
        size_t size = (size_t)length[0] << 24 | length[1] << 16 | length[2] << 8 | length[3];
        requests[count] = (struct text){malloc(size), size};
        if (fread(requests[count].bytes, 1, size, stdin) != size)
            refuse("standard input ends inside a request");
    }
    return count;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static double sent[MOST_IN_FLIGHT];
    if (argc < 5 || argc % 2 == 0)
        refuse("usage: pingpong PORT SECONDS IN_FLIGHT END [HELLO UNTIL]... <requests");
    int fd = connection(atoi(argv[1])), count = read_requests(), in_flight = atoi(argv[3]);
    double seconds = atof(argv[2]), began = 0, at = 0;
    struct text end = text(argv[4]);
    if (!count || !end.size || !(seconds > 0 && seconds <= 60) || in_flight < 1 || in_flight > MOST_IN_FLIGHT)
        refuse("wants a request, an end, at most 60 seconds, and 1 to 256 requests in flight");
    for (int i = 5; i < argc; i += 2) {
        ask(fd, text(argv[i]));
        while (!answers_read(fd, text(argv[i + 1])))
            ;
    }
    uint32_t asked = 0, answered = 0, warm = 0;
    for (; answered < MOST_ANSWERS; at = now()) {
        if (began && at - began >= seconds)
            break;
        for (; asked - answered < (uint32_t)in_flight; asked++) {
            sent[asked % in_flight] = now();
            ask(fd, requests[asked % count]);
        }
        int came = answers_read(fd, end);
        for (double arrived = now(); came > 0; came--, answered++)
            times[answered] = (uint32_t)((arrived - sent[answered % in_flight]) * 1e9);
        if (!began && answered >= WARM) {
            began = now();
            warm = answered;
        }
    }
    uint32_t measured = answered - warm, *taken = times + warm;
    qsort(taken, measured, sizeof *taken, by_size);
    printf("{\"answers\": %u, \"warm\": %u, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", measured, warm,
           at - began, taken[measured / 2] / 1e3, taken[measured * 99 / 100] / 1e3);
    return 0;
}
