// One connection under loss recovery, with the clock in the test's hand. Sequence numbers in the tests are offsets from the first byte.
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Recovery;

internal sealed class RecoveryBench : IDisposable
{
    internal const uint Mss = 1000;

    internal Tcb C;
    internal TcbCold K;
    internal Instant Now = new(5_000_000_000);
    private readonly MemoryRegion _region;
    private readonly SeqNumber _first;

    internal RecoveryBench(bool sack = true, CongestionAlgorithm algorithm = CongestionAlgorithm.NewReno, uint first = 1, int records = 4096,
        RecoverySettings? settings = null, uint cwnd = 0, bool synRetransmitted = false)
    {
        _region = MemoryRegion.Allocate(LossRecovery.BytesFor(records) + IndexedPool<SenderHistory>.BytesFor(0) + 128);
        Recovery = new LossRecovery(_region, records, settings ?? Classic);
        RecordCount = records;
        _first = new SeqNumber(first);
        C.Snd.Una = C.Snd.Nxt = C.Snd.Max = C.Snd.QueueEnd = _first;
        C.Snd.Iss = _first - 1;
        C.Snd.Wnd = 1 << 30;
        C.Mss = (ushort)Mss;
        if (sack) C.Flags |= TcbFlags.Sack;
        Recovery.Initialize(ref C, ref K, Now);
        Recovery.OnEstablished(ref C, ref K, algorithm, Duration.Zero, synRetransmitted ? 1 : 0, Now);
        if (cwnd != 0) C.Cwnd = cwnd;
    }

    /// <summary>RFC 6675, RFC 6582 and RFC 6298, and none of what came after them.</summary>
    internal static RecoverySettings Classic { get; } = new()
    {
        Rack = false, TailLossProbe = false, ProportionalRateReduction = false, ForwardRto = false, EifelUndo = false, DsackUndo = false,
    };

    internal LossRecovery Recovery { get; }

    internal int RecordCount { get; }

    internal uint Pipe => LossRecovery.Pipe(C, K);

    internal uint Allowance => Recovery.SendAllowance(C, K);

    internal RecoveryPhase Phase => K.Recovery.Phase;

    internal uint Una => C.Snd.Una.Value - _first.Value;

    internal uint Max => C.Snd.Max.Value - _first.Value;

    /// <summary>Sends new data, whatever the window says.</summary>
    internal bool Send(uint length = Mss, Instant? at = null) =>
        Recovery.OnTransmit(ref C, ref K, C.Snd.Max, length, false, at ?? Now);

    internal RecoveryBench SendMany(int count, uint length = Mss)
    {
        for (var i = 0; i < count; i++) Assert.True(Send(length));
        return this;
    }

    /// <summary>The application has so much more to send.</summary>
    internal RecoveryBench Queue(uint bytes)
    {
        C.Snd.QueueEnd = C.Snd.Max + bytes;
        return this;
    }

    internal AckSample Ack(uint ack, params (uint Left, uint Right)[] sack) => AckWith(ack, true, sack);

    internal AckSample AckWith(uint ack, bool isDuplicateCandidate, params (uint Left, uint Right)[] sack)
    {
        var options = default(TcpOptions);
        foreach (var (left, right) in sack) options.TryAddSackBlock(new SackBlock(_first + left, _first + right));
        return AckOptions(ack, isDuplicateCandidate, options);
    }

    internal AckSample AckOptions(uint ack, bool isDuplicateCandidate, in TcpOptions options)
    {
        Recovery.OnAck(ref C, ref K, _first + ack, options, isDuplicateCandidate, Now, out var sample);
        Assert.True(Recovery.Check(C, K), "the scoreboard does not hold together");
        return sample;
    }

    /// <summary>What recovery wants sent again next, not sent.</summary>
    internal (uint Seq, uint Length)? Peek() =>
        Recovery.TryNextRetransmission(ref C, ref K, out var seq, out var length) ? (seq.Value - _first.Value, length) : null;

    /// <summary>Sends again what recovery wants, once.</summary>
    internal (uint Seq, uint Length)? Retransmit()
    {
        if (Peek() is not { } next) return null;
        Assert.True(Recovery.OnTransmit(ref C, ref K, _first + next.Seq, next.Length, true, Now));
        Assert.True(Recovery.Check(C, K), "the scoreboard does not hold together");
        return next;
    }

    internal List<uint> RetransmitAll()
    {
        var sent = new List<uint>();
        while (Retransmit() is { } next)
        {
            sent.Add(next.Seq);
            Assert.True(sent.Count < 100_000, "retransmission does not end");
        }
        return sent;
    }

    internal void Timeout()
    {
        Recovery.OnRetransmissionTimeout(ref C, ref K, Now);
        Assert.True(Recovery.Check(C, K), "the scoreboard does not hold together");
    }

    internal void Pass(Duration time) => Now += time;

    internal void PassMs(long ms) => Now += Duration.FromMilliseconds(ms);

    public void Dispose() => _region.Dispose();
}
