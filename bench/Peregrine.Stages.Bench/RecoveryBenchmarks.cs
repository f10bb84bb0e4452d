// The scoreboard: 64 segments sent and acknowledged, without loss and with every fourth one missing at first.
using BenchmarkDotNet.Attributes;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Stages.Bench;

public class RecoveryBenchmarks : IDisposable
{
    private const int Segments = 64;
    private const uint Mss = 1_448;

    private readonly MemoryRegion _region = MemoryRegion.Allocate(RecordPool.BytesFor(256));
    private readonly Scoreboard _board;
    private RecoveryState _state;
    private SeqNumber _next;

    public RecoveryBenchmarks() => _board = new Scoreboard(new RecordPool(_region, 256));

    [Benchmark(OperationsPerInvoke = Segments)]
    public uint SendAndAcknowledge()
    {
        Send();
        var delivery = default(Delivery);
        _board.Acknowledge(ref _state, _next, ref delivery);
        return _state.Head;
    }

    [Benchmark(OperationsPerInvoke = Segments)]
    public uint SendSackAndAcknowledge()
    {
        var start = _next;
        Send();
        var delivery = default(Delivery);
        for (uint i = 0; i < Segments; i += 4) _board.Sack(ref _state, start + ((i + 1) * Mss), start + ((i + 4) * Mss), Mss, ref delivery);
        _board.Acknowledge(ref _state, _next, ref delivery);
        return _state.Head;
    }

    public void Dispose() => _region.Dispose();

    private void Send()
    {
        var stamp = new SendStamp(Instant.Zero + Duration.FromSeconds(1), Segments, 0);
        for (var i = 0; i < Segments; i++, _next += Mss)
        {
            if (!_board.TryAppend(ref _state, _next, Mss, stamp)) throw new InvalidOperationException("no record is left");
        }
    }
}
