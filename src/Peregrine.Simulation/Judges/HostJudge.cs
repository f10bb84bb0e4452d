// Watches one host all the time: after each burst the counters, with each frame that leaves what is in it, after each turn the connections,
// and now and then where every block is. It knows what must hold; it repairs nothing and says the first thing that does not hold.
using Peregrine.Core;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Simulation.Adversaries;
using Peregrine.Simulation.Hosts;
using Peregrine.Wire;

namespace Peregrine.Simulation.Judges;

internal sealed class HostJudge
{
    private const int MemoryWalkInterval = 64;
    private const int IdleTurnsMax = 4_000;

    private readonly SimulatedHost _host;
    private readonly NetworkStack _stack;
    private readonly ConnectionJudge _connections;
    private readonly MemoryJudge _memory;
    private RateJudge _strangers, _icmpErrors;
    private int _burstFrames, _burstResets;
    private long _resetsBefore;
    private int _idleTurns;
    private Instant _idleSince;
    private int _turns;
    private bool _haveWaited;

    public HostJudge(SimulatedHost host)
    {
        (_host, _stack) = (host, host.Stack);
        _connections = new ConnectionJudge(host);
        _memory = new MemoryJudge(host);
        _resetsBefore = _stack.Tcp.Counters.ResetsSent;
        var options = _stack.Options;
        _strangers = new RateJudge(options.TcpRepliesPerSecond, options.TcpReplyBurst);
        _icmpErrors = new RateJudge(options.Ip.IcmpErrorsPerSecond, options.Ip.IcmpErrorBurst);
    }

    public ConnectionJudge Connections => _connections;

    /// <summary>Somebody hostile, who sends in others' names.</summary>
    public Adversary? Adversary { get; set; }

    /// <summary>A forged reset or SYN lay within a window. It ends a connection where RFC 5961 is off, and nobody's fault.</summary>
    public bool HasMetGuess { get; private set; }

    /// <summary>A frame is about to be given to the stack.</summary>
    public void OnReceived(ReadOnlySpan<byte> frame)
    {
        if (_burstFrames == 0) _resetsBefore = _stack.Tcp.Counters.ResetsSent;
        _burstFrames++;
        if (!SegmentView.TryRead(frame, out var view) || !view.IsTcp || (view.Flags & (TcpFlags.Rst | TcpFlags.Syn)) == 0) return;
        if ((view.Flags & TcpFlags.Rst) != 0) _burstResets++;
        if (Adversary is { } adversary && adversary.HasForged(view) && _connections.IsGuess(view)) HasMetGuess = true;
    }

    /// <summary>The stack has taken a burst.</summary>
    public void AfterBurst()
    {
        var resets = _stack.Tcp.Counters.ResetsSent - _resetsBefore;
        // RFC 9293 §3.10.7.1: a reset is never answered by one; and no segment by more than one.
        if (resets > _burstFrames - _burstResets)
            throw Failure("no reply to a reset", "", $"{_burstFrames} frames, {_burstResets} of them resets, were answered by {resets} resets");
        (_burstFrames, _burstResets) = (0, 0);
        CheckCounters();
    }

    /// <summary>A frame leaves the host.</summary>
    public void OnSent(ReadOnlySpan<byte> frame)
    {
        if (!SegmentView.TryRead(frame, out var view)) return;
        if (view.Protocol is IpProtocol.Icmpv4 or IpProtocol.Icmpv6)
        {
            var isError = view.Payload.Length > 0 && (view.IsV4 ? view.Payload[0] is 3 or 11 or 12 : view.Payload[0] is >= 1 and <= 4);
            if (isError && !_haveWaited && !_icmpErrors.Allows(_host.LocalNow)) throw Failure("reply rate", "", "more ICMP errors left than the limiter allows");
            return;
        }
        if (!view.IsTcp) return;
        _host.World.Judged.Segments++;
        if (!view.HasGoodChecksum) throw Failure("segments sent", Ports(view), "a segment left with a wrong checksum");
        if ((view.Flags & TcpFlags.Rst) != 0)
        {
            // The two shapes of a reset for a segment that belongs nowhere (RFC 9293 §3.10.7.1).
            var toStranger = (view.Flags & TcpFlags.Ack) == 0 || view.Seq.Value == 0;
            if (toStranger && !_haveWaited && !_strangers.Allows(_host.LocalNow)) throw Failure("reply rate", Ports(view), "more resets to strangers left than the limiter allows");
            return;
        }
        _connections.OnSent(view);
    }

    /// <summary>The turn is over and the stack rests.</summary>
    public void AfterTurn(bool wasBusy, Instant now)
    {
        _host.World.Judged.Turns++;
        CheckSpin(wasBusy, now);
        _connections.AfterTurn();
        // What waited for a neighbour's address leaves later than it was allowed to, and at once: it is not held against the limiter.
        _haveWaited = _stack.Ip.Neighbours.WaitingCount > 0;
        CheckFrames();
        if (++_turns % MemoryWalkInterval == 0) _memory.Walk();
    }

    /// <summary>All is closed and old: everything must be where it was at the start.</summary>
    public void AtEnd()
    {
        var tcp = _stack.Tcp;
        Expect(0, tcp.ConnectionCount, "connections");
        Expect(0, tcp.TimeWaitCount, "TIME-WAIT records");
        Expect(0, tcp.SynBacklogCount, "half-open connections");
        Expect(0, tcp.ListenerCount, "listeners");
        Expect(0, tcp.Context.Demux.Count, "demux entries");
        Expect(0, tcp.Context.Wheel.Count, "timers");
        Expect(0, _stack.Udp.SocketCount, "UDP sockets");
        Expect(0, _host.SocketCount, "connections that sockets hold");
        Expect(_host.FreeBlocksAtStart, tcp.Blocks.FreeCount, "free blocks");
        Expect(_host.FreeRecordsAtStart, tcp.Context.Recovery.FreeRecords, "free transmission records");
        Expect(_host.FreeFramesAtStart, _stack.Frames.Chunks.FreeCount, "free frames");
        CheckCounters();
    }

    private static string Ports(in SegmentView view) => $"{view.SourcePort}>{view.DestinationPort}";

    private SimulationFailureException Failure(string judge, string connection, string what) =>
        _host.World.Failure(judge, connection.Length == 0 ? _host.Name : $"{_host.Name} {connection}", what);

    private void Expect(long expected, long actual, string what)
    {
        if (expected != actual) throw Failure("memory returns", "", $"at the end there are {actual} {what} instead of {expected}");
    }

    // A timer that is due and does not fire makes a host wake for ever without doing anything.
    private void CheckSpin(bool wasBusy, Instant now)
    {
        if (wasBusy || now - _idleSince > Duration.FromSeconds(1)) (_idleTurns, _idleSince) = (0, now);
        if (++_idleTurns > IdleTurnsMax) throw Failure("comes to rest", "", $"{IdleTurnsMax} turns in a second in which nothing happened");
    }

    // Of a frame to ourselves, which may be longer than a chunk, there are several.
    private int ChunkCount(in Frame frame)
    {
        var count = 1;
        for (var chunk = _stack.Frames.Chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None; chunk = _stack.Frames.Chunks.Note(chunk).Next) count++;
        return count;
    }

    // A frame is free, on its way out, waits for a neighbour's address or for the rest of its datagram, or somebody else holds it.
    private void CheckFrames()
    {
        var ip = _stack.Ip;
        var placed = _host.HeldFrameCount + ip.Neighbours.WaitingCount + ip.Reassembly.FragmentCount;
        for (var i = 0; i < ip.InterfaceCount; i++)
        {
            foreach (ref readonly var frame in ip.PendingOutput(i)) placed += ChunkCount(frame);
        }
        var rented = _host.FreeFramesAtStart - _stack.Frames.Chunks.FreeCount;
        if (rented != placed) throw Failure("one place a frame", "", $"{rented} chunks are rented and {placed} are held or wait somewhere");
    }

    private void CheckCounters()
    {
        ref var ip = ref _stack.Ip.Counters;
        var transports = Terminals.Sum(_stack.Tcp.Counters) + Terminals.Sum(_stack.Udp.Counters);
        if (ip.ReceivedDelivered != transports)
            throw Failure("one counter a frame", "", $"{ip.ReceivedDelivered} packets went to transports, {transports} ended in a counter");
        var waiting = ip.ReceivedFrames - Terminals.Sum(ip);
        if (waiting < 0 || waiting > _stack.Options.Ip.FragmentCountMax)
            throw Failure("one counter a frame", "", $"of {ip.ReceivedFrames} frames {waiting} are in no counter");
    }
}

/// <summary>A token bucket as a limiter is meant to be, to hold the real one against.</summary>
internal struct RateJudge(int perSecond, int burst)
{
    private readonly long _perSecond = Math.Max(1, perSecond);
    private readonly long _burstNs = (long)Math.Max(1, burst) * 1_000_000_000 / Math.Max(1, perSecond);
    private long _spentUntil;

    public bool Allows(Instant now)
    {
        // Generic cell rate: each reply costs its share of a second, and the debt may not exceed the burst and one.
        var share = 1_000_000_000 / _perSecond;
        _spentUntil = Math.Max(_spentUntil, now.Nanoseconds) + share;
        return _spentUntil - now.Nanoseconds <= _burstNs + (2 * share);
    }
}
