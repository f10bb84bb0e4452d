// Reading and writing. The bytes themselves are the caller's: a script sends zeros and looks at lengths only.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Posix;

internal static class PosixTransfer
{
    /// <summary>Writes; a blocking socket's call that is not finished says how much has gone in <paramref name="done"/> and blocks.</summary>
    internal static PosixResult Write(PosixSockets x, long fd, ReadOnlySpan<byte> data, bool dontWait, ref int done, Instant now, bool more = false, bool endsMessage = false, bool isUrgent = false)
    {
        if (x.Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        if (s.Kind == PosixKind.PipeIn) return WritePipe(s.Pipe!, data.Length);
        if (s.Kind == PosixKind.Udp) return WriteUdp(x, s, data, default, now);
        if (s.Kind != PosixKind.Tcp) return PosixResult.Fail("EINVAL");
        var patient = !s.NonBlocking && !dontWait;
        if (s.Phase == PosixPhase.Deferred) return PosixFastOpen.Write(x, s, s.Remote, data, patient, ref done, now);
        if (s.Phase == PosixPhase.Connecting)
        {
            // FreeBSD: what is not connected yet is not connected (sosend's rule, send(2)).
            if (Connecting(x, s) && x.Manners.IsFreeBsd) return PosixResult.Fail("ENOTCONN");
            if (Connecting(x, s)) return patient ? PosixResult.Waits : PosixResult.Fail("EAGAIN");
            // What was queued for a connection that was never made has gone nowhere.
            if (TakeError(x, s) is { } refusal) return PosixResult.Fail(refusal);
        }
        if (!s.Connection.IsValid && TakeError(x, s) is { } left) return PosixResult.Fail(left);
        if (!s.Connection.IsValid) return PosixResult.Fail(x.Manners.IsFreeBsd ? "ENOTCONN" : "EPIPE");
        if ((TakeError(x, s) ?? (WantsSoftErrors(s) ? TakeSoftError(x, s, now) : null)) is { } error) return done > 0 ? new PosixResult(done) : PosixResult.Fail(error);
        if (s.WriteShut) return PosixResult.Fail("EPIPE");
        var taken = isUrgent ? x.Stack.Tcp.SendUrgent(s.Connection, data[done..], now) : more ? x.Stack.Tcp.SendMore(s.Connection, data[done..], now)
            : endsMessage ? x.Stack.Tcp.SendMessageEnd(s.Connection, data[done..], now) : x.Stack.Tcp.Send(s.Connection, data[done..], now);
        if (taken < 0) return done > 0 ? new PosixResult(done) : PosixResult.Fail("EPIPE");
        done += taken;
        s.BytesWritten += taken;
        if (done == data.Length) return new PosixResult(done);
        if (patient) return PosixResult.Waits;
        return done > 0 ? new PosixResult(done) : PosixResult.Fail("EAGAIN");
    }

    private static PosixResult WritePipe(PosixPipe pipe, int count)
    {
        var n = Math.Min(count, pipe.Room);
        pipe.Length += n;
        return n > 0 || count == 0 ? new PosixResult(n) : PosixResult.Fail("EAGAIN");
    }

    /// <summary>Moves bytes from a socket or file to a pipe or socket, at most so many (splice, sendfile).</summary>
    internal static PosixResult Move(PosixSockets x, long from, long to, long count, bool patient, Instant now)
    {
        if (x.Get(from) is not { } source || x.Get(to) is not { } target) return PosixResult.Fail("EBADF");
        var most = (int)Math.Min(count, target.Kind == PosixKind.PipeIn ? target.Pipe!.Room : 1 << 20);
        var got = Take(x, source, from, most, patient, now);
        if (got.Blocks || got.Errno is not null || got.Value <= 0) return got;
        var done = 0;
        return Write(x, to, new byte[got.Value], dontWait: true, ref done, now);
    }

    private static PosixResult Take(PosixSockets x, PosixSocket source, long fd, int most, bool patient, Instant now)
    {
        switch (source.Kind)
        {
            case PosixKind.PipeOut:
                var n = Math.Min(most, source.Pipe!.Length);
                source.Pipe.Length -= n;
                return new PosixResult(n);
            case PosixKind.File:
                var left = (int)Math.Min(most, Math.Max(0, source.FileLength - source.FileOffset));
                source.FileOffset += left;
                return new PosixResult(left);
            default:
                // Urgent data are no part of what is spliced: it stops before them, and there Linux's says 0 where it may wait, though nothing will come.
                var urgent = x.Stack.Tcp.GetStatus(source.Connection).UrgentBytes;
                if (urgent == 1) return patient ? new PosixResult(0) : PosixResult.Fail("EAGAIN");
                if (urgent > 0) most = Math.Min(most, urgent - 1);
                return Read(x, fd, new byte[most], peek: false, dontWait: !patient, waitAll: false, now);
        }
    }

    private static bool Connecting(PosixSockets x, PosixSocket s) =>
        x.Stack.Tcp.GetStatus(s.Connection).State is TcpState.SynSent or TcpState.SynReceived;

    /// <summary>Sends a datagram to somebody.</summary>
    internal static PosixResult WriteUdp(PosixSockets x, PosixSocket s, ReadOnlySpan<byte> data, Endpoint remote, Instant now)
    {
        if (!s.IsBound)
        {
            if (remote == default) return PosixResult.Fail("EDESTADDRREQ");
            var any = new Endpoint(remote.Address.IsIPv4 ? IpAddress.IPv4Any : IpAddress.IPv6Any, 0);
            var bound = x.Stack.Udp.Bind(new Core.Udp.UdpBindOptions { Local = any }, out var handle);
            if (bound != SocketError.Success) return PosixResult.Of(bound);
            (s.Datagrams, s.IsBound) = (handle, true);
        }
        if (x.Stack.Udp.TryTakeError(s.Datagrams, out var pending)) return PosixResult.Of(pending);
        var sent = x.Stack.Udp.Send(s.Datagrams, data, remote, now, out var error);
        if (error == SocketError.NotConnected) return PosixResult.Fail("EDESTADDRREQ");
        return sent >= 0 ? new PosixResult(sent) : PosixResult.Of(error);
    }

    /// <summary>Reads; an end of stream is 0.</summary>
    internal static PosixResult Read(PosixSockets x, long fd, Span<byte> into, bool peek, bool dontWait, bool waitAll, Instant now)
    {
        if (x.Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        if (s.Kind is PosixKind.PipeOut or PosixKind.File) return Take(x, s, fd, into.Length, patient: false, now);
        if (s.Kind == PosixKind.Udp) return ReadUdp(x, s, into, peek, dontWait);
        if (s.Kind != PosixKind.Tcp) return PosixResult.Fail("EINVAL");
        if (s.Phase == PosixPhase.Deferred) return s.NonBlocking || dontWait ? PosixResult.Fail("EAGAIN") : PosixResult.Waits;
        if (!s.Connection.IsValid || s.Phase == PosixPhase.Fresh) return PosixResult.Fail("ENOTCONN");
        if (s.ReadShut && x.Manners.IsFreeBsd) x.Discard(s, now);
        var status = x.Stack.Tcp.GetStatus(s.Connection);
        // Linux: the urgent byte is no part of the stream, and a read ends before it.
        if (status.UrgentBytes > 0 && !peek && !x.Manners.IsFreeBsd && s.Kept.GetValueOrDefault("SO_OOBINLINE") == 0)
        {
            if (status.UrgentBytes == 1 && status.ReadableBytes > 0)
            {
                Span<byte> urgent = stackalloc byte[1];
                x.Stack.Tcp.Receive(s.Connection, urgent, now);
                s.UrgentTaken = 0;
                return Read(x, fd, into, peek, dontWait, waitAll, now);
            }
            if (status.UrgentBytes > 1) into = into[..Math.Min(into.Length, status.UrgentBytes - 1)];
        }
        var enough = status.ReadableBytes > 0 && (!waitAll || s.NonBlocking || dontWait || status.State == TcpState.Closed || status.ReadableBytes >= into.Length || status.PeerClosed);
        if (enough) return new PosixResult(peek ? Peek(x, s, into) : x.Stack.Tcp.Receive(s.Connection, into, now));
        if ((s.ReadShut && x.Manners.IsFreeBsd) || into.Length == 0) return new PosixResult(0);
        // Linux: a stream that its sender has ended has ended, whatever became of the connection afterwards; SO_ERROR tells of that.
        if (status.PeerClosed && !x.Manners.IsFreeBsd) return new PosixResult(0);
        if (status.ReadableBytes == 0 && (TakeError(x, s) ?? (WantsSoftErrors(s) ? TakeSoftError(x, s, now) : null)) is { } error) return PosixResult.Fail(error);
        if (s.ReadShut || status.PeerClosed || status.State == TcpState.Closed) return new PosixResult(0);
        return s.NonBlocking || dontWait ? PosixResult.Fail("EAGAIN") : PosixResult.Waits;
    }

    private static int Peek(PosixSockets x, PosixSocket s, Span<byte> into)
    {
        var cursor = default(TcpReadCursor);
        var copied = 0;
        while (copied < into.Length && x.Stack.Tcp.TryPeek(s.Connection, ref cursor, out var bytes))
        {
            var n = Math.Min(bytes.Length, into.Length - copied);
            bytes[..n].CopyTo(into[copied..]);
            copied += n;
        }
        return copied;
    }

    private static PosixResult ReadUdp(PosixSockets x, PosixSocket s, Span<byte> into, bool peek, bool dontWait)
    {
        if (!s.IsBound) return s.NonBlocking || dontWait ? PosixResult.Fail("EAGAIN") : PosixResult.Waits;
        if (x.Stack.Udp.TryTakeError(s.Datagrams, out var error)) return PosixResult.Of(error);
        // Looked at only: whoever peeks here looks at lengths.
        if (peek && x.Stack.Udp.NextLength(s.Datagrams) is >= 0 and var next) return new PosixResult(Math.Min(next, into.Length));
        var count = x.Stack.Udp.Receive(s.Datagrams, into, out _, out _, out _);
        if (count >= 0) return new PosixResult(count);
        return s.NonBlocking || dontWait ? PosixResult.Fail("EAGAIN") : PosixResult.Waits;
    }

    /// <summary>What SO_ERROR says: the connection's end, or on Linux an ICMP error that did not end it (sk_err_soft of RFC 1122's soft errors); each told once.</summary>
    internal static string? TakeAnyError(PosixSockets x, PosixSocket s, Instant now)
    {
        if (TakeError(x, s) is { } error) return error;
        return TakeSoftError(x, s, now);
    }

    // Linux's IP_RECVERR: every error is told as soon as it comes.
    private static bool WantsSoftErrors(PosixSocket s) => s.Kept.GetValueOrDefault("IP_RECVERR") != 0 || s.Kept.GetValueOrDefault("IPV6_RECVERR") != 0;

    /// <summary>Whether an error waits to be told that did not end the connection, of which the socket wants to hear at once.</summary>
    internal static bool HasSoftError(PosixSockets x, PosixSocket s) =>
        WantsSoftErrors(s) && !s.SoftErrorTaken && !x.Manners.IsFreeBsd && x.Stack.Tcp.TryGetInfo(s.Connection, default, out var info) && info.SoftError != SocketError.Success;

    private static string? TakeSoftError(PosixSockets x, PosixSocket s, Instant now)
    {
        if (s.SoftErrorTaken || x.Manners.IsFreeBsd || s.Kind != PosixKind.Tcp || !x.Stack.Tcp.TryGetInfo(s.Connection, now, out var info) || info.SoftError == SocketError.Success) return null;
        s.SoftErrorTaken = true;
        return PosixResult.NameOf(info.SoftError);
    }

    /// <summary>The error that ended the connection, told once (SO_ERROR, and whichever call comes first).</summary>
    internal static string? TakeError(PosixSockets x, PosixSocket s)
    {
        if (s.Kind == PosixKind.Udp) return s.IsBound && x.Stack.Udp.TryTakeError(s.Datagrams, out var pending) ? PosixResult.NameOf(pending) : null;
        if (s.PendingError is { } left)
        {
            s.PendingError = null;
            return left;
        }
        if (!s.Connection.IsValid || s.ErrorTaken) return null;
        var status = x.Stack.Tcp.GetStatus(s.Connection);
        var error = status.Error;
        if (error == SocketError.Success) return null;
        s.ErrorTaken = true;
        // Linux: who resets in CLOSE-WAIT has ended its stream before, and only what we had to send is cut off.
        if (error == SocketError.ConnectionReset && status.PeerClosed && !s.WriteShut && !x.Manners.IsFreeBsd) return "EPIPE";
        // Data that nobody will read have ended it, by a reset of ours: Linux calls it as one of the peer's.
        return PosixResult.NameOf(error == SocketError.ConnectionAborted && s.ReadShut && !x.Manners.IsFreeBsd ? SocketError.ConnectionReset : error);
    }
}
