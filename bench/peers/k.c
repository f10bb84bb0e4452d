// K: the least that a server on the kernel's sockets can be. One thread, one epoll, edge-triggered, no allocation per request; the services of
// the benchmarks on their ports: echo 7 (TCP and UDP), discard 9, source 19, HTTP 80, and HTTP that closes 81. The yardstick that Peregrine's
// servers are measured against, with the same client. Ends when its standard input does.
// usage: k ADDRESS [spin]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ECHO = 7, DISCARD = 9, SOURCE = 19, HTTP = 80, HTTP_CLOSING = 81, LISTENER = 1 << 16, DATAGRAM = 1 << 17, INPUT = 1 << 18 };
enum { CONNECTIONS_MAX = 65536, BUFFER = 256 * 1024 };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nHello, world!";
static char buffer[BUFFER], source[BUFFER];
static int services[CONNECTIONS_MAX];  // by descriptor
static uint8_t matched[CONNECTIONS_MAX]; // bytes of "\r\n\r\n" that the last piece ended with

static void die(const char *what) { perror(what); exit(1); }

static void add(int epoll, int fd, int service, uint32_t events) {
  if (fd >= CONNECTIONS_MAX) { close(fd); return; }
  services[fd] = service;
  matched[fd] = 0;
  struct epoll_event e = { .events = events, .data.fd = fd };
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
}

static void listen_on(int epoll, const char *address, int port, int type) {
  int one = 1, fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };
  if (fd < 0 || inet_pton(AF_INET, address, &name.sin_addr) != 1) die(address);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&name, sizeof name)) die("bind");
  if (type == SOCK_STREAM) {
    // Accepted sockets inherit it.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (listen(fd, 4096)) die("listen");
    add(epoll, fd, port | LISTENER, EPOLLIN);
  } else {
    add(epoll, fd, DATAGRAM, EPOLLIN);
  }
}

static void accept_all(int epoll, int fd, int service) {
  for (int peer; (peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
    add(epoll, peer, service, EPOLLIN | EPOLLRDHUP | EPOLLET | (service == SOURCE ? EPOLLOUT : 0));
}

static void echo_datagrams(int fd) {
  struct sockaddr_in peer;
  for (int i = 0; i < 64; i++) {
    socklen_t length = sizeof peer;
    ssize_t n = recvfrom(fd, buffer, BUFFER, 0, (struct sockaddr *)&peer, &length);
    if (n < 0) return;
    sendto(fd, buffer, n, 0, (struct sockaddr *)&peer, length);
  }
}

// Ends of request headers in this piece.
static int requests_in(int fd, const char *p, ssize_t n) {
  static const char end[] = "\r\n\r\n";
  int count = 0;
  const char *stop = p + n, *at;
  while (matched[fd] && p < stop) {
    if (*p != end[matched[fd]]) { matched[fd] = 0; break; }
    p++;
    if (++matched[fd] == 4) { matched[fd] = 0; count++; }
  }
  for (; p < stop && (at = memmem(p, stop - p, end, 4)); p = at + 4) count++;
  if (p < stop) {
    int k = 3;
    for (; k > 0; k--) if (stop - p >= k && !memcmp(stop - k, end, k)) break;
    matched[fd] = k;
  }
  return count;
}

// What does not fit into the send buffer at once is not measured: no client of the benchmarks has as much on the way.
static int put(int fd, const void *bytes, size_t n) { return send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n; }

static void serve(int fd, uint32_t events) {
  int service = services[fd];
  if (service == SOURCE && (events & EPOLLOUT))
    while (send(fd, source, BUFFER, MSG_NOSIGNAL) > 0) {}
  if (!(events & ~EPOLLOUT)) return;
  for (;;) {
    ssize_t n = recv(fd, buffer, BUFFER, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) { close(fd); return; }
    if (service == ECHO && !put(fd, buffer, n)) { close(fd); return; }
    if (service == HTTP || service == HTTP_CLOSING)
      for (int k = requests_in(fd, buffer, n); k > 0; k--) {
        if (!put(fd, answer, sizeof answer - 1) || service == HTTP_CLOSING) { close(fd); return; }
      }
    // A short read has emptied the socket, unless a FIN is behind it.
    if (n < BUFFER && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
  }
}

int main(int argc, char **argv) {
  if (argc < 2) { fprintf(stderr, "usage: k ADDRESS [spin]\n"); return 2; }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  signal(SIGPIPE, SIG_IGN);
  int epoll = epoll_create1(EPOLL_CLOEXEC), wait = argc > 2 && !strcmp(argv[2], "spin") ? 0 : -1;
  const int ports[] = { ECHO, DISCARD, SOURCE, HTTP, HTTP_CLOSING };
  for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) listen_on(epoll, argv[1], ports[i], SOCK_STREAM);
  listen_on(epoll, argv[1], ECHO, SOCK_DGRAM);
  add(epoll, 0, INPUT, EPOLLIN);
  puts("ready");
  fflush(stdout);
  struct epoll_event events[256];
  for (;;) {
    int n = epoll_wait(epoll, events, 256, wait);
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd, service = services[fd];
      if (service & LISTENER) accept_all(epoll, fd, service & ~LISTENER);
      else if (service == DATAGRAM) echo_datagrams(fd);
      else if (service == INPUT) { if (read(0, buffer, BUFFER) <= 0) return 0; }
      else serve(fd, events[i].events);
    }
  }
}
