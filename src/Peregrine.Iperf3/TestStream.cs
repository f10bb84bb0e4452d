// One stream of a test: what both protocols count, and what is noted of it at the end of an interval. Everything on the core's thread.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;

namespace Peregrine.Iperf3;

/// <summary>What one stream did in one interval.</summary>
internal readonly record struct StreamInterval
{
    internal TestStream Stream { get; init; }

    /// <summary>Seconds since the test's start.</summary>
    internal double Start { get; init; }

    internal double End { get; init; }

    internal long Bytes { get; init; }

    internal bool IsOmitted { get; init; }

    internal long Retransmits { get; init; }

    internal TcpInfo Tcp { get; init; }

    /// <summary>Datagrams sent, or expected from the numbers received.</summary>
    internal long Packets { get; init; }

    internal long Lost { get; init; }

    internal double JitterSeconds { get; init; }

    internal double Seconds => End - Start;
}

/// <summary>What the other side says of a stream.</summary>
internal sealed record RemoteStreamResult(long Bytes, long Retransmits, double JitterSeconds, long Lost, long Packets, double EndTime);

internal abstract class TestStream(Iperf3Test test, int id, bool isSender) : IDisposable
{
    private long _intervalBytes;
    private long _intervalPackets;
    private long _intervalLost;
    private uint _intervalRetransmits;
    private uint _retransmitsAtStart;
    private Duration _rttSum;
    private int _rttCount;

    /// <summary>1, 3, 4, 5 …: as iperf3 counts, for the exchange of results.</summary>
    internal int Id { get; } = id == 0 ? 1 : id + 2;

    /// <summary>What stands in brackets before its lines: odd numbers from 5, as a kernel's descriptors often are.</summary>
    internal int Number { get; } = 5 + (2 * id);

    internal bool IsSender { get; } = isSender;

    internal Iperf3Test Test { get; } = test;

    internal abstract System.Net.IPEndPoint Local { get; }

    internal abstract System.Net.IPEndPoint Remote { get; }

    internal long Bytes { get; private protected set; }

    internal long Blocks { get; private protected set; }

    internal long Packets { get; private protected set; }

    internal long Lost { get; private protected set; }

    internal long OutOfOrder { get; private protected set; }

    internal double JitterSeconds { get; private protected set; }

    internal Instant LastReceived { get; private protected set; }

    internal int BurstLeft { get; set; }

    internal TcpInfo LastTcp { get; private set; }

    internal uint CwndMax { get; private set; }

    internal uint SendWindowMax { get; private set; }

    internal Duration RttMax { get; private set; }

    internal Duration RttMin { get; private set; }

    internal Duration RttMean => _rttCount == 0 ? default : _rttSum / _rttCount;

    internal long Retransmits => LastTcp.SegmentsRetransmitted - _retransmitsAtStart;

    /// <summary>What the other side said of it, once results have been exchanged.</summary>
    internal RemoteStreamResult? Result { get; set; }

    /// <summary>Sends while the test wants it to. Called when it may go on: at the start, at ticks, when there is room.</summary>
    internal abstract void Pump();

    /// <summary>Begins to receive.</summary>
    internal abstract void Start();

    public abstract void Dispose();

    internal bool HasBytesInInterval => Bytes != _intervalBytes;

    /// <summary>Ends an interval and begins the next.</summary>
    internal StreamInterval EndInterval(double start, double end, bool omitted)
    {
        NoteTcp();
        var interval = new StreamInterval
        {
            Stream = this, Start = start, End = end, IsOmitted = omitted, Bytes = Bytes - _intervalBytes, Tcp = LastTcp, JitterSeconds = JitterSeconds,
            Retransmits = LastTcp.SegmentsRetransmitted - _intervalRetransmits, Packets = Packets - _intervalPackets, Lost = Lost - _intervalLost,
        };
        (_intervalBytes, _intervalPackets, _intervalLost, _intervalRetransmits) = (Bytes, Packets, Lost, LastTcp.SegmentsRetransmitted);
        return interval;
    }

    /// <summary>The omitted seconds are over: counts from here.</summary>
    internal virtual void Reset()
    {
        NoteTcp();
        (Bytes, Blocks, Lost, OutOfOrder) = (0, 0, 0, 0);
        (_intervalBytes, _intervalLost, _intervalPackets) = (0, 0, 0);
        if (IsSender) Packets = 0;
        else _intervalPackets = Packets;
        _retransmitsAtStart = _intervalRetransmits = LastTcp.SegmentsRetransmitted;
        (CwndMax, SendWindowMax, RttMax, RttMin, _rttSum, _rttCount) = (0, 0, default, default, default, 0);
    }

    private protected virtual bool TryGetTcp(out TcpInfo info)
    {
        info = default;
        return false;
    }

    private protected void Fail(SocketError error) => Test.Fail(new Iperf3Exception(IsSender ? Iperf3Error.StreamWrite : Iperf3Error.StreamRead, error));

    private void NoteTcp()
    {
        if (!TryGetTcp(out var info)) return;
        LastTcp = info;
        if (!IsSender) return;
        CwndMax = Math.Max(CwndMax, info.CongestionWindow);
        SendWindowMax = Math.Max(SendWindowMax, info.SendWindow);
        RttMax = Duration.Max(RttMax, info.SmoothedRtt);
        RttMin = _rttCount == 0 ? info.SmoothedRtt : Duration.Min(RttMin, info.SmoothedRtt);
        _rttSum += info.SmoothedRtt;
        _rttCount++;
    }
}
