// What tools ask of a connection and nothing decides by: when something last happened, and what the sender waited for (tcp_info's
// last_data_recv, busy_time, rwnd_limited and more). In memory beside the TCBs, and only where StackOptions.ConnectionDetails asks for it:
// an idle connection need not pay for being watched.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

/// <summary>What a sender is busy with.</summary>
internal enum TcpBusyKind : byte
{
    /// <summary>Nothing is queued.</summary>
    Idle,

    /// <summary>The network, or the congestion window.</summary>
    Busy,

    /// <summary>The peer's window.</summary>
    ReceiveWindow,

    /// <summary>Our send buffer, which the application would fill.</summary>
    SendBuffer,
}

/// <summary>Details of one connection.</summary>
internal struct TcpDetails
{
    internal Instant LastDataReceived;
    internal Instant LastDataSent;
    internal Instant LastAckReceived;
    internal Duration BusyTime;
    internal Duration ReceiveWindowLimited;
    internal Duration SendBufferLimited;
    internal Instant BusySince;
    internal ulong BytesSent;
    internal ulong BytesRetransmitted;
    internal uint DataSegmentsIn;
    internal uint DataSegmentsOut;
    internal uint DeliveredSegments;
    internal uint DuplicatesReported;
    internal uint Reordering;
    internal uint ReorderingEvents;
    internal uint OutOfOrderSegments;
    internal uint MarkedSegmentsDelivered;

    /// <summary>The latest sample of the delivery rate that counts: bytes, and the nanoseconds that they took.</summary>
    internal uint RateBytes;
    internal Duration RateInterval;

    /// <summary>The episode of time-outs that goes on, if <see cref="IsTimedOut"/>.</summary>
    internal Instant TimedOutSince;
    internal Duration TimeoutTime;
    internal uint Timeouts;
    internal uint TimeoutEpisodes;
    internal TcpBusyKind Busy;
    internal bool IsRateAppLimited;
    internal bool IsTimedOut;
    internal bool EcnSeen;
    internal TcpFastOpenFailure FastOpenFailure;

    /// <summary>The soft error by <see cref="TcpErrors"/>, beyond those that the TCB has room for.</summary>
    internal byte SoftError;
}

internal sealed class TcpDetailsTable(MemoryRegion region, int countMax)
{
    // Linux's tcp_max_reordering.
    private const uint ReorderingMax = 300;

    private readonly RegionArray<TcpDetails> _entries = new(region, countMax);

    internal static nuint BytesFor(int countMax) => RegionArray<TcpDetails>.BytesFor(countMax);

    internal ref TcpDetails Of(uint index) => ref _entries[(int)index];

    internal void OnOpened(uint index, Instant now) => Of(index) = new TcpDetails { LastDataReceived = now, LastDataSent = now, LastAckReceived = now, BusySince = now, IsRateAppLimited = true };

    /// <summary>The handshake is done: what was noted of it stays.</summary>
    internal void OnEstablished(uint index, Instant now)
    {
        var before = Of(index);
        EndTimeouts(ref before, now);
        OnOpened(index, now);
        ref var d = ref Of(index);
        (d.Timeouts, d.TimeoutEpisodes, d.TimeoutTime, d.FastOpenFailure) = (before.Timeouts, before.TimeoutEpisodes, before.TimeoutTime, before.FastOpenFailure);
    }

    internal void OnText(uint index, bool isEcnCapable, Instant now)
    {
        ref var d = ref Of(index);
        d.LastDataReceived = now;
        d.EcnSeen |= isEcnCapable;
    }

    /// <summary>A segment of the connection has come, whether it is taken or not (RFC 4898's tcpEStatsPerfDataSegsIn).</summary>
    internal void OnSegment(uint index, int segmentCount) => Of(index).DataSegmentsIn += (uint)segmentCount;

    internal void OnOutOfOrder(uint index, int segmentCount) => Of(index).OutOfOrderSegments += (uint)segmentCount;

    /// <summary>A time-out; the first since something was acknowledged begins an episode.</summary>
    internal void OnTimeout(uint index, bool isFirst, Instant now)
    {
        ref var d = ref Of(index);
        d.Timeouts++;
        if (isFirst) d.TimeoutEpisodes++;
        if (!d.IsTimedOut) (d.IsTimedOut, d.TimedOutSince) = (true, now);
    }

    /// <summary>Time-outs of a connection's SYN-ACK, which the record of its SYN has counted.</summary>
    internal void OnSynAckTimeouts(uint index, uint count, Instant firstSentAt)
    {
        ref var d = ref Of(index);
        (d.Timeouts, d.TimeoutEpisodes, d.IsTimedOut, d.TimedOutSince) = (count, 1, true, firstSentAt);
    }

    internal void OnMarked(uint index, uint segmentCount) => Of(index).MarkedSegmentsDelivered += segmentCount;

    internal void OnFastOpenFailed(uint index, TcpFastOpenFailure failure) => Of(index).FastOpenFailure = failure;

    internal void OnSent(uint index, uint bytes, uint mss, bool isRetransmission, Instant now)
    {
        if (bytes == 0) return;
        ref var d = ref Of(index);
        d.LastDataSent = now;
        d.BytesSent += bytes;
        if (isRetransmission) d.BytesRetransmitted += bytes;
        d.DataSegmentsOut += Recovery.SegmentCount.Of(bytes, mss);
    }

    internal void OnAck(uint index, in Recovery.AckSample sample, in TcbCold k, uint mss, Instant now)
    {
        ref var d = ref Of(index);
        d.LastAckReceived = now;
        if (k.Recovery.Phase != Recovery.RecoveryPhase.Loss) EndTimeouts(ref d, now);
        if (sample.ReorderedDistance > 0 || sample.IsOvertaken) d.ReorderingEvents++;
        if (sample.LateDistance > 0) d.ReorderingEvents++;
        TakeRate(ref d, sample, k.Rtt);
        d.DeliveredSegments += sample.DeliveredSegments + (d.BytesRetransmitted > 0 ? Recovery.SegmentCount.Of(sample.DuplicateBytes, mss) : 0);
        var distance = Math.Max(sample.ReorderedDistance, sample.LateDistance);
        d.Reordering = Math.Max(d.Reordering, Math.Min(Recovery.SegmentCount.Of(distance, mss), ReorderingMax));
        if (sample.DuplicateBytes > 0) d.DuplicatesReported++;
    }

    // As draft-ietf-ccwg-bbr §4.1.2.3 has it: nothing shorter than the shortest round trip, and what the application limited only where it shows more.
    private static void TakeRate(ref TcpDetails d, in Recovery.AckSample sample, in Recovery.RttState rtt)
    {
        var interval = Duration.Max(sample.SendElapsed, sample.AckElapsed);
        var bytes = sample.Delivered - sample.PriorDelivered;
        // What stamps are rounded by makes no round trip shorter.
        if (interval.Nanoseconds <= 0 || interval + new Duration(2L << Recovery.TimeStamp32.Shift) < Duration.FromMicroseconds(rtt.MinRtt)) return;
        if (sample.IsAppLimited && RateOf(bytes, interval) < RateOf(d.RateBytes, d.RateInterval)) return;
        (d.RateBytes, d.RateInterval, d.IsRateAppLimited) = (bytes, interval, sample.IsAppLimited);
    }

    /// <summary>Bytes a second; 0 without a time.</summary>
    internal static ulong RateOf(uint bytes, Duration interval) => interval.Nanoseconds <= 0 ? 0 : bytes * 1_000_000_000ul / (ulong)interval.Nanoseconds;

    /// <summary>The time in time-outs, with that of an episode that goes on.</summary>
    internal static Duration TimeoutTimeOf(in TcpDetails d, Instant now) => d.IsTimedOut ? d.TimeoutTime + (now - d.TimedOutSince) : d.TimeoutTime;

    private static void EndTimeouts(ref TcpDetails d, Instant now) => (d.TimeoutTime, d.IsTimedOut) = (TimeoutTimeOf(d, now), false);

    /// <summary>What the sender is busy with from now on.</summary>
    internal void Watch(uint index, TcpBusyKind kind, Instant now)
    {
        ref var d = ref Of(index);
        Account(ref d, now);
        d.Busy = kind;
    }

    /// <summary>Counts the time until now.</summary>
    internal static void Account(ref TcpDetails d, Instant now)
    {
        var passed = now - d.BusySince;
        d.BusySince = now;
        if (d.Busy != TcpBusyKind.Idle) d.BusyTime += passed;
        if (d.Busy == TcpBusyKind.ReceiveWindow) d.ReceiveWindowLimited += passed;
        if (d.Busy == TcpBusyKind.SendBuffer) d.SendBufferLimited += passed;
    }
}
