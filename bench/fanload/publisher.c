/* One TCP connection that sends a template at a fixed rate, with the time of sending written into it. */
#define _GNU_SOURCE
#include "fanload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BURST = 64 }; /* messages sent at most before looking at the subscribers again */

struct published published;
static int fd = -1;
static char *message;

void open_publisher(int epoll)
{
    if (!opt.publish_port)
        return;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.publish_port)};
    inet_aton("127.0.0.1", &address.sin_addr);
    int one = 1;
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&address, sizeof address))
        die("connect of the publisher");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (opt.preamble.size) {
        if (write(fd, opt.preamble.data, opt.preamble.size) != (ssize_t)opt.preamble.size)
            die("write of the preamble");
        usleep(200000);
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)PUBLISHER_EVENT};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    message = malloc(opt.template.size);
    memcpy(message, opt.template.data, opt.template.size);
}

void discard_answers(void)
{
    char answers[65536];
    ssize_t size;
    while ((size = recv(fd, answers, sizeof answers, 0)) > 0)
        ;
    if (size == 0) {
        fprintf(stderr, "the server closed the publisher's connection\n");
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    }
}

static void stamp_time(void)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%019llu", (unsigned long long)now_ns());
    char *end = message + opt.template.size, *mark = message;
    while ((mark = memmem(mark, (size_t)(end - mark), "@T", 2))) {
        memcpy(mark + 2, digits, 19);
        mark += 21;
    }
}

static void send_message(void)
{
    size_t done = 0;
    while (done < opt.template.size) {
        ssize_t size = send(fd, message + done, opt.template.size - done, MSG_NOSIGNAL);
        if (size >= 0) {
            done += (size_t)size;
        } else if (errno == EAGAIN) { /* the server does not take it: go on reading what it delivers */
            uint64_t since = now_ns();
            run_events(1);
            published.stalled_s += seconds_since(since);
        } else {
            die("send of the publisher");
        }
    }
    published.sent++;
}

void publish_due(uint64_t start)
{
    if (fd < 0)
        return;
    uint64_t due = (uint64_t)(seconds_since(start) * opt.rate);
    for (int i = 0; i < BURST && published.sent < due; i++) {
        stamp_time();
        send_message();
    }
}
