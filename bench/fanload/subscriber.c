/* The subscribers: connect, shake hands, send the first frames, then count what is delivered. */
#define _GNU_SOURCE
#include "fanload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 1024, READS_A_TURN = 4, READ_SIZE = 8192, MARK_SIZE = 21 };
enum { OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum state { CONNECTING, SHAKING_HANDS, GETTING_READY, READY, DEAD };

struct subscriber {
    int fd;
    int index;
    enum state state;
    int acks;
    uint8_t *input;
    size_t size, room;
    uint8_t tail[MARK_SIZE]; /* the beginning of a mark that the last frame broke off */
    size_t tail_size;
};

struct counts counts;
int measuring;
int epoll_fd = -1;
static struct subscriber *subscribers;
static int in_flight;

static void drop(struct subscriber *s)
{
    if (s->state == DEAD)
        return;
    if (s->state < READY)
        in_flight--;
    s->state = DEAD;
    counts.dead++;
    close(s->fd);
}

static void become_ready(struct subscriber *s)
{
    s->state = READY;
    counts.ready++;
    in_flight--;
}

/* A frame with an all-zero mask: legal, and the payload needs no work. */
static void send_frame(struct subscriber *s, int opcode, const void *payload, size_t size)
{
    uint8_t frame[14 + MAX_TEMPLATE + 8];
    size_t n = 0;
    frame[n++] = (uint8_t)(0x80 | opcode);
    if (size < 126) {
        frame[n++] = (uint8_t)(0x80 | size);
    } else {
        frame[n++] = 0x80 | 126;
        frame[n++] = (uint8_t)(size >> 8);
        frame[n++] = (uint8_t)size;
    }
    memset(frame + n, 0, 4);
    n += 4;
    memcpy(frame + n, payload, size);
    if (send(s->fd, frame, n + size, MSG_NOSIGNAL) != (ssize_t)(n + size))
        drop(s);
}

/* A copy of `text` with every %N replaced by the six digits of the subscriber's number. */
static struct bytes numbered(struct bytes text, int index)
{
    struct bytes copy = {malloc(text.size * 3 + 8), 0};
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '%' && i + 1 < text.size && text.data[i + 1] == 'N') {
            copy.size += (size_t)sprintf(copy.data + copy.size, "%06d", index);
            i++;
        } else {
            copy.data[copy.size++] = text.data[i];
        }
    }
    copy.data[copy.size] = 0;
    return copy;
}

static void start_connect(int index)
{
    struct subscriber *s = &subscribers[index];
    s->index = index;
    s->state = CONNECTING;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        die("socket (raise the limit of open files, ulimit -n)");
    int one = 1;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    /* Another loopback address than the server's, so that the ports of both are their own. */
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    if (bind(s->fd, (void *)&from, sizeof from))
        die("bind");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
    inet_aton(opt.host, &to.sin_addr);
    if (connect(s->fd, (void *)&to, sizeof to) && errno != EINPROGRESS)
        die("connect");
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = (uint32_t)index};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
    in_flight++;
}

static void send_request(struct subscriber *s)
{
    static const char upgrade[] = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    char request[4096], offered[256] = "";
    struct bytes path = numbered((struct bytes){(char *)opt.path, strlen(opt.path)}, s->index);
    if (opt.subprotocol)
        snprintf(offered, sizeof offered, "Sec-WebSocket-Protocol: %s\r\n", opt.subprotocol);
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%d\r\n%s%s%s\r\n", path.data, opt.host,
                        opt.port, opt.sse ? "Accept: text/event-stream\r\n" : upgrade, offered, opt.header);
    free(path.data);
    if (size >= (int)sizeof request || send(s->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        drop(s);
    else
        s->state = SHAKING_HANDS;
}

static void got_connected(struct subscriber *s)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        fprintf(stderr, "subscriber %d cannot connect: %s\n", s->index, strerror(error));
        drop(s);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)s->index};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
    send_request(s);
}

/* Returns how many bytes of the input the answer's head takes, 0 while it is incomplete. */
static size_t got_handshake(struct subscriber *s)
{
    uint8_t *end = memmem(s->input, s->size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (!memmem(s->input, 12, opt.sse ? " 200" : " 101", 4)) {
        fprintf(stderr, "subscriber %d was refused: %.*s\n", s->index, (int)(end - s->input), (char *)s->input);
        drop(s);
        return 0;
    }
    s->state = GETTING_READY;
    for (int i = 0; i < opt.init_count && s->state != DEAD; i++) {
        struct bytes text = numbered(opt.init[i].text, s->index);
        send_frame(s, opt.init[i].opcode, text.data, text.size);
        free(text.data);
    }
    if (s->state == GETTING_READY && (opt.acks == 0 || opt.sse))
        become_ready(s);
    return (size_t)(end + 4 - s->input);
}

static void count_delivery(const uint8_t *mark, uint64_t now)
{
    uint64_t sent_at = 0;
    for (int i = 2; i < MARK_SIZE; i++) {
        if (mark[i] < '0' || mark[i] > '9')
            return;
        sent_at = sent_at * 10 + (uint64_t)(mark[i] - '0');
    }
    counts.deliveries++;
    if (measuring)
        latency_record(now > sent_at ? now - sent_at : 0);
}

static void keep_tail(struct subscriber *s, const uint8_t *tail, size_t size)
{
    memcpy(s->tail, tail, size);
    s->tail_size = size;
}

/* Finds the marks in a piece of the stream, also one that began in the piece before. */
static void count_marks(struct subscriber *s, const uint8_t *piece, size_t size, uint64_t now)
{
    const uint8_t *end = piece + size, *mark = piece;
    if (s->tail_size) {
        size_t more = MARK_SIZE - s->tail_size < size ? MARK_SIZE - s->tail_size : size;
        memcpy(s->tail + s->tail_size, piece, more);
        s->tail_size += more;
        if (s->tail_size < MARK_SIZE)
            return;
        if (s->tail[1] == 'T')
            count_delivery(s->tail, now);
        s->tail_size = 0;
    }
    while ((mark = memmem(mark, (size_t)(end - mark), "@T", 2))) {
        if (end - mark < MARK_SIZE) {
            keep_tail(s, mark, (size_t)(end - mark));
            return;
        }
        count_delivery(mark, now);
        mark += MARK_SIZE;
    }
    if (size && end[-1] == '@')
        keep_tail(s, end - 1, 1);
}

static void count_acks(struct subscriber *s, const uint8_t *payload, size_t size)
{
    const uint8_t *end = payload + size;
    if (!opt.ack)
        s->acks++;
    else
        while ((payload = memmem(payload, (size_t)(end - payload), opt.ack, strlen(opt.ack)))) {
            s->acks++;
            payload++;
        }
    if (s->acks >= opt.acks)
        become_ready(s);
}

/* Whether the frame is an application ping, or begins or ends with one on a line of its own. */
static int holds_ping(const uint8_t *payload, size_t size)
{
    size_t n = strlen(opt.app_ping);
    if (size < n)
        return 0;
    if (!memcmp(payload, opt.app_ping, n) && (size == n || payload[n] == '\n'))
        return 1;
    return size > n && payload[size - n - 1] == '\n' && !memcmp(payload + size - n, opt.app_ping, n);
}

static void got_frame(struct subscriber *s, int opcode, const uint8_t *payload, size_t size, uint64_t now)
{
    counts.frames++;
    if (opcode == OP_PING) {
        send_frame(s, OP_PONG, payload, size);
        return;
    }
    if (opcode == OP_CLOSE) {
        int code = size >= 2 ? payload[0] << 8 | payload[1] : 0;
        fprintf(stderr, "subscriber %d was closed: %d %.*s\n", s->index, code, size > 2 ? (int)size - 2 : 0,
                size > 2 ? (const char *)payload + 2 : "");
        drop(s);
        return;
    }
    if (s->state == GETTING_READY)
        count_acks(s, payload, size);
    if (opt.app_ping && holds_ping(payload, size))
        send_frame(s, OP_TEXT, opt.app_pong, strlen(opt.app_pong));
    count_marks(s, payload, size, now);
}

/* Returns the size of the header in front of the payload, 0 while it is incomplete. */
static size_t frame_header(const uint8_t *frame, size_t available, size_t *payload)
{
    if (available < 2)
        return 0;
    *payload = frame[1] & 127;
    size_t header = *payload == 126 ? 4 : *payload == 127 ? 10 : 2;
    if (available < header)
        return 0;
    if (header > 2) {
        *payload = 0;
        for (size_t i = 2; i < header; i++)
            *payload = *payload << 8 | frame[i];
    }
    return header;
}

static size_t got_stream(struct subscriber *s, size_t done, uint64_t now)
{
    if (opt.sse) {
        count_marks(s, s->input + done, s->size - done, now);
        return s->size;
    }
    size_t payload, header;
    while (s->state != DEAD && (header = frame_header(s->input + done, s->size - done, &payload))) {
        if (s->size - done < header + payload)
            break;
        got_frame(s, s->input[done] & 15, s->input + done + header, payload, now);
        done += header + payload;
    }
    return done;
}

static void got_input(struct subscriber *s)
{
    uint64_t now = now_ns();
    size_t done = 0;
    if (s->state == SHAKING_HANDS) {
        done = got_handshake(s);
        if (!done)
            return;
    }
    done = got_stream(s, done, now);
    s->size -= done;
    memmove(s->input, s->input + done, s->size);
}

/* Reads a few times, not until empty: a busy subscriber must not keep the others waiting. */
static void read_some(struct subscriber *s)
{
    for (int i = 0; i < READS_A_TURN && s->state != DEAD; i++) {
        if (s->room - s->size < READ_SIZE) {
            s->room = s->room ? s->room * 2 : READ_SIZE;
            s->input = realloc(s->input, s->room);
        }
        size_t wanted = s->room - s->size;
        ssize_t size = recv(s->fd, s->input + s->size, wanted, 0);
        if (size < 0 && errno == EAGAIN)
            return;
        if (size <= 0) {
            fprintf(stderr, "subscriber %d was cut off\n", s->index);
            drop(s);
            return;
        }
        s->size += (size_t)size;
        got_input(s);
        if ((size_t)size < wanted)
            return;
    }
}

void run_events(int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll_fd, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++) {
        if ((int)events[i].data.u32 == PUBLISHER_EVENT) {
            discard_answers();
            continue;
        }
        struct subscriber *s = &subscribers[events[i].data.u32];
        if (s->state == CONNECTING && events[i].events & (EPOLLOUT | EPOLLERR))
            got_connected(s);
        if (s->state > CONNECTING && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            read_some(s);
    }
}

void open_subscribers(void)
{
    uint64_t start = now_ns();
    int next = 0;
    subscribers = calloc((size_t)opt.subscribers, sizeof *subscribers);
    epoll_fd = epoll_create1(0);
    while (counts.ready + counts.dead < opt.subscribers) {
        while (in_flight < opt.concurrency && next < opt.subscribers)
            start_connect(next++);
        run_events(1000);
        if (seconds_since(start) > MAX_SECONDS) {
            fprintf(stderr, "only %d of %d subscribers were ready in time\n", counts.ready, opt.subscribers);
            return;
        }
    }
}
