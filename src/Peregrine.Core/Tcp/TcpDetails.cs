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
    internal TcpBusyKind Busy;
}

internal sealed class TcpDetailsTable(MemoryRegion region, int countMax)
{
    // Linux's tcp_max_reordering.
    private const uint ReorderingMax = 300;

    private readonly RegionArray<TcpDetails> _entries = new(region, countMax);

    internal static nuint BytesFor(int countMax) => RegionArray<TcpDetails>.BytesFor(countMax);

    internal ref TcpDetails Of(uint index) => ref _entries[(int)index];

    internal void OnOpened(uint index, Instant now) => Of(index) = new TcpDetails { LastDataReceived = now, LastDataSent = now, LastAckReceived = now, BusySince = now };

    internal void OnText(uint index, int segmentCount, Instant now)
    {
        ref var d = ref Of(index);
        d.LastDataReceived = now;
        d.DataSegmentsIn += (uint)segmentCount;
    }

    internal void OnSent(uint index, uint bytes, uint mss, bool isRetransmission, Instant now)
    {
        if (bytes == 0) return;
        ref var d = ref Of(index);
        d.LastDataSent = now;
        d.BytesSent += bytes;
        if (isRetransmission) d.BytesRetransmitted += bytes;
        d.DataSegmentsOut += (bytes + mss - 1) / mss;
    }

    internal void OnAck(uint index, in Recovery.AckSample sample, uint mss, Instant now)
    {
        ref var d = ref Of(index);
        d.LastAckReceived = now;
        d.DeliveredSegments += sample.DeliveredSegments;
        d.Reordering = Math.Max(d.Reordering, Math.Min((sample.ReorderedDistance + mss - 1) / mss, ReorderingMax));
        if (sample.DuplicateBytes > 0) d.DuplicatesReported++;
    }

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
