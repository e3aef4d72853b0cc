/* fanload: many WebSocket subscribers, one publisher, one thread. See ../README.md for the options. */
#ifndef FANLOAD_H
#define FANLOAD_H

#include <stddef.h>
#include <stdint.h>

/* What keeps a mistyped command from hurting anything: loopback addresses only, and an end for everything. */
enum {
    MAX_SUBSCRIBERS = 20000,
    MAX_RATE = 20000,
    MAX_SECONDS = 60, /* of each phase: connecting, idling, publishing, draining */
    MAX_FRAMES = 16,
    MAX_PIDS = 64,
    MAX_TEMPLATE = 60000,
};

struct bytes {
    char *data;
    size_t size;
};

struct init_frame {
    struct bytes text;
    int opcode;
};

struct options {
    int subscribers;
    const char *host;
    int port;
    const char *path;
    const char *subprotocol;
    char *header;
    int sse;
    struct init_frame init[MAX_FRAMES];
    int init_count;
    const char *ack;
    int acks;
    const char *app_ping;
    const char *app_pong;
    int concurrency;
    double settle_s;
    double idle_s;
    int publish_port;
    struct bytes preamble;
    struct bytes template;
    double rate;
    double warm_s;
    double measure_s;
    double drain_s;
    int pids[MAX_PIDS];
    int pid_count;
    const char *label;
};

extern struct options opt;

/* options.c */
void parse_options(int argc, char **argv);

/* measure.c: the clock, the latencies and the server's /proc figures */
struct usage {
    double cpu_s;
    long rss_kib;
};

uint64_t now_ns(void);
double seconds_since(uint64_t start);
void latency_record(uint64_t ns);
void latency_forget(void);
double latency_ms(double share);
struct usage server_usage(void);
double own_cpu_s(void);
void die(const char *what);

/* subscriber.c: the receiving side. `counts` grows for ever; callers take differences. */
struct counts {
    int ready;
    int dead;
    uint64_t deliveries;
    uint64_t frames;
};

extern struct counts counts;
extern int measuring;

void open_subscribers(void);
void run_events(int timeout_ms);

/* publisher.c: the sending side */
struct published {
    uint64_t sent;
    double stalled_s;
};

extern struct published published;

void open_publisher(int epoll_fd);
void publish_due(uint64_t start);
void discard_answers(void);

enum { PUBLISHER_EVENT = -1 };
extern int epoll_fd;

#endif
