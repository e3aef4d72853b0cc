/* The command line, checked against the bounds of fanload.h. */
#define _GNU_SOURCE
#include "fanload.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options opt = {
    .subscribers = 100,
    .host = "127.0.0.1",
    .path = "/",
    .header = "",
    .concurrency = 200,
    .settle_s = 0.5,
    .rate = 100,
    .warm_s = 1,
    .measure_s = 5,
    .drain_s = MAX_SECONDS,
    .label = "",
};

enum name { N, HOST, PORT, PATH, SUB, HDR, SSE, INIT, INITBIN, ACK, ACKS, APPING, APPONG, CONC, SETTLE, IDLE, PPORT,
            PRE, TPL, RATE, WARM, DUR, DRAIN, PID, LABEL };

static const struct option names[] = {
    {"n", 1, 0, N},           {"host", 1, 0, HOST},     {"port", 1, 0, PORT},     {"path", 1, 0, PATH},
    {"sub", 1, 0, SUB},       {"hdr", 1, 0, HDR},       {"sse", 0, 0, SSE},       {"init", 1, 0, INIT},
    {"initbin", 1, 0, INITBIN}, {"ack", 1, 0, ACK},     {"acks", 1, 0, ACKS},     {"apping", 1, 0, APPING},
    {"appong", 1, 0, APPONG}, {"conc", 1, 0, CONC},     {"settle", 1, 0, SETTLE}, {"idle", 1, 0, IDLE},
    {"pport", 1, 0, PPORT},   {"pre", 1, 0, PRE},       {"tpl", 1, 0, TPL},       {"rate", 1, 0, RATE},
    {"warm", 1, 0, WARM},     {"dur", 1, 0, DUR},       {"drain", 1, 0, DRAIN},   {"pid", 1, 0, PID},
    {"label", 1, 0, LABEL},   {0, 0, 0, 0},
};

static void refuse(const char *sentence)
{
    fprintf(stderr, "fanload: %s\n", sentence);
    exit(2);
}

static struct bytes read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path);
    struct bytes content = {malloc(MAX_TEMPLATE + 1), 0};
    content.size = fread(content.data, 1, MAX_TEMPLATE + 1, file);
    fclose(file);
    if (content.size > MAX_TEMPLATE)
        refuse("a template or frame file is larger than 60,000 bytes");
    return content;
}

static void add_init(struct bytes text, int opcode)
{
    if (opt.init_count == MAX_FRAMES)
        refuse("at most 16 --init and --initbin frames");
    opt.init[opt.init_count++] = (struct init_frame){text, opcode};
}

static void add_pid(int pid)
{
    if (opt.pid_count == MAX_PIDS)
        refuse("at most 64 --pid");
    opt.pids[opt.pid_count++] = pid;
}

static void set_option(enum name name, char *value)
{
    switch (name) {
    case N: opt.subscribers = atoi(value); break;
    case HOST: opt.host = value; break;
    case PORT: opt.port = atoi(value); break;
    case PATH: opt.path = value; break;
    case SUB: opt.subprotocol = value; break;
    case HDR: if (asprintf(&opt.header, "%s\r\n", value) < 0) die("header"); break;
    case SSE: opt.sse = 1; break;
    case INIT: add_init((struct bytes){value, strlen(value)}, 1); break;
    case INITBIN: add_init(read_file(value), 2); break;
    case ACK: opt.ack = value; break;
    case ACKS: opt.acks = atoi(value); break;
    case APPING: opt.app_ping = value; break;
    case APPONG: opt.app_pong = value; break;
    case CONC: opt.concurrency = atoi(value); break;
    case SETTLE: opt.settle_s = atof(value); break;
    case IDLE: opt.idle_s = atof(value); break;
    case PPORT: opt.publish_port = atoi(value); break;
    case PRE: opt.preamble = read_file(value); break;
    case TPL: opt.template = read_file(value); break;
    case RATE: opt.rate = atof(value); break;
    case WARM: opt.warm_s = atof(value); break;
    case DUR: opt.measure_s = atof(value); break;
    case DRAIN: opt.drain_s = atof(value); break;
    case PID: add_pid(atoi(value)); break;
    case LABEL: opt.label = value; break;
    }
}

static void check_bounds(void)
{
    struct in_addr address;
    if (!inet_aton(opt.host, &address) || ntohl(address.s_addr) >> 24 != 127)
        refuse("--host must be a loopback address, 127.x.x.x");
    if (opt.subscribers < 1 || opt.subscribers > MAX_SUBSCRIBERS)
        refuse("--n must be between 1 and 20,000");
    if (opt.rate <= 0 || opt.rate > MAX_RATE)
        refuse("--rate must be above 0 and at most 20,000");
    if (opt.settle_s + opt.idle_s > MAX_SECONDS || opt.warm_s + opt.measure_s > MAX_SECONDS || opt.drain_s > MAX_SECONDS)
        refuse("each phase (--settle + --idle, --warm + --dur, --drain) lasts at most 60 seconds");
    if (opt.publish_port && !opt.template.data)
        refuse("--pport needs a --tpl to send");
    if (!opt.app_ping != !opt.app_pong)
        refuse("--apping and --appong go together");
}

void parse_options(int argc, char **argv)
{
    int name;
    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (name == '?')
            exit(2);
        set_option((enum name)name, optarg);
    }
    check_bounds();
}
