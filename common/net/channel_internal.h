/* SPDX-License-Identifier: MIT */
/* The insides of a channel, shared by channel.c (life, keep-alive, close),
 * channel_in.c (frames that arrive), channel_out.c (frames that leave),
 * stream_state.c (a stream's queues and place) and stream.c (the workers' side).
 *
 * `lock` guards what is marked so; everything else belongs to the loop. Lock
 * and condition variables are held for moments only, never over a callback. A
 * stream lives until it has left the table *and* its user has closed it. */
#ifndef COMMON_NET_CHANNEL_INTERNAL_H
#define COMMON_NET_CHANNEL_INTERNAL_H

#include <stdatomic.h>
#include <uv.h>

#include "common/net/channel.h"
#include "common/net/frame.h"

/* Streams of one side that its users have not closed yet, however far the
 * conversation is. A peer that needs more does not play fair. */
#define CHANNEL_MAX_OBJECTS (4 * CHANNEL_MAX_STREAMS)
#define CHANNEL_INBOX_MAX (64u * 1024 * 1024)  /* unread, all streams */
#define CHANNEL_CONTROL_MAX (4u * 1024 * 1024) /* queued on stream 0 */
#define STREAM_MAX_MESSAGES 256                /* unread; then reading stops */
#define STREAM_MAX_MESSAGE_BYTES (4u * 1024 * 1024) /* the same */
#define STREAM_MAX_PIECES 4096                      /* unread DATA frames */
#define CHANNEL_GREETING_MAX (64u * 1024) /* a frame before the greeting ends */
#define CHANNEL_FLUSH_MS 3000             /* a closing channel's last frames */

/* A frame that waits: in `b` the head's room comes first on the way out; on
 * the way in it is the payload alone. */
struct item {
    struct item *next;
    enum frame_kind kind; /* FRAME_CONTROL or FRAME_DATA */
    struct buf b;
};

struct item_queue {
    struct item *head, **tail; /* tail is NULL until the first push */
};

struct stream {
    struct channel *ch;  /* counted */
    uv_cond_t changed;   /* any of what follows */
    struct stream *next; /* in the table */
    struct stream *next_ready;
    uint32_t id; /* 0 until its first frame leaves; guarded, as all below */
    bool local;  /* opened by us */
    bool live;   /* counted in channel.live */
    bool in_table, ready, user_closed;
    int64_t deadline_ms; /* monotonic; 0: none */

    struct item_queue outbox;
    size_t out_bytes;
    int64_t credit;         /* DATA bytes that we may send */
    bool end_due, end_sent; /* we have said all */
    bool cancelled;         /* broken off, by either end */
    bool cancel_due;        /* the peer does not know yet */
    bool cancel_sent;

    struct item_queue inbox;
    size_t messages, message_bytes, pieces;
    int64_t window;      /* DATA bytes that the peer may send */
    uint32_t credit_due; /* taken by the user, not yet told to the peer */
    bool end_seen, cancel_seen;
    bool over;               /* counted in channel.over */
    struct error peer_error; /* what the peer's Error said */
};

struct channel {
    atomic_uint refs;
    struct tls_stream *tls; /* NULL once closed */
    const struct channel_handler *h;
    void *arg;
    uv_async_t wake;
    uv_timer_t timer;
    unsigned open_handles;

    bool up;      /* TLS is ready */
    bool allowed; /* streams may come */
    bool closing; /* channel_close was called, or the peer went */
    bool hard;    /* ... for a fault: queued frames are not sent */
    bool paused;  /* not reading: too much is unread */
    int status;   /* for on_closed */
    char why[160];

    struct frame_reader reader;
    uint32_t peer_last; /* highest id that the peer opened */
    uint32_t next_id;   /* of our next stream */
    bool even;

    struct buf cur; /* frame on its way out, and how far it is */
    size_t cur_off;
    struct buf stage; /* small frames on their way into one record */
    size_t stage_off;
    bool blocked;              /* TLS takes no more until on_drain */
    struct item_queue control; /* stream 0 */
    size_t control_bytes;
    struct buf goodbye; /* the last frame of a closing channel */
    bool ping_due, pong_due;
    uint8_t pong[FRAME_PING_LEN];

    int64_t silence_ms, dead_ms, hello_ms;
    uint64_t opened_at, heard_at, pinged_at, moved_at; /* uv_now; 0: not */
    uint64_t acked;                                    /* at moved_at */

    uv_mutex_t lock;
    struct stream *streams;                 /* guarded: the table */
    struct stream *ready_head, *ready_tail; /* guarded: have to send */
    size_t objects[2];                      /* guarded: [local], in the table */
    size_t live[2];           /* guarded: of those, not over on the wire */
    size_t inbox_bytes, over; /* guarded */
    bool dead;                /* guarded: waits end */
    bool async_closed;        /* guarded: `wake` is gone */
    struct error dead_error;  /* guarded */
    struct error fault; /* guarded: a worker found the peer's message bad */
};

/* item queues */
void queue_push(struct item_queue *q, enum frame_kind kind, struct buf *b);
struct item *queue_pop(struct item_queue *q);
void queue_clear(struct item_queue *q);

/* A buffer with room for the head, then the packed message. */
int frame_pack(const Ocm__Envelope *m, struct buf *out, struct error *e);

/* channel.c; loop thread */
void channel_fail(struct channel *ch, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void channel_finish_close(struct channel *ch);
void channel_tell_streams(struct channel *ch);
/* Tests shorten the waits. */
void channel_set_waits(struct channel *ch, int64_t dead_ms, int64_t hello_ms);

/* channel_in.c; loop thread */
void channel_on_readable(struct tls_stream *t, void *arg);
void channel_maybe_resume(struct channel *ch);

/* channel_out.c; loop thread, without the lock */
void channel_pump(struct channel *ch);

/* stream_state.c; all with the lock held, any thread */
struct stream *stream_new(struct channel *ch, bool local);
void stream_mark_ready(struct stream *s);
void stream_wake_loop(struct channel *ch);
/* Count what is unread against the bounds. */
void stream_account(struct stream *s);
/* The same for an item that has left the inbox; wakes the loop when reading
 * may go on. */
void stream_account_taken(struct stream *s, const struct item *item);
void stream_drop_inbox(struct stream *s);
void stream_drop_outbox(struct stream *s);
/* Over on the wire, seen from here? */
bool stream_wire_over(const struct stream *s);
/* Leaves the table when nothing more can come or go; true when it did and
 * nobody uses it: then stream_delete it after the lock is released. */
bool stream_settle(struct stream *s);
bool stream_leave(struct stream *s);
void stream_delete(struct stream *s);

#endif
