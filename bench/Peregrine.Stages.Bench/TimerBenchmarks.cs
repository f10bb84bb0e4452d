// The timer wheel with every id armed, deadlines up to a minute away.
using BenchmarkDotNet.Attributes;
using Peregrine.Core.Bench;
using Peregrine.Core;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine.Stages.Bench;

public class TimerBenchmarks : IDisposable
{
    private const int Steps = 4_096;

    private readonly uint[] _due = new uint[64];
    private MemoryRegion? _region;
    private TimerWheel _wheel = null!;
    private StackRandom _random = null!;
    private Instant _now;
    private uint[] _order = [];
    private int _at;

    [Params(1_000, 1_000_000)]
    public int Ids { get; set; }

    [GlobalSetup]
    public void Arm()
    {
        _region = HugePages.Allocate(TimerWheel.BytesFor(Ids));
        _now = Instant.Zero + Duration.FromSeconds(100);
        (_wheel, _random) = (new TimerWheel(_region, Ids, _now), new StackRandom(2));
        _order = [.. Enumerable.Range(0, Ids).Select(static i => (uint)i)];
        new Random(2).Shuffle(_order);
        foreach (var id in _order) _wheel.Arm(id, Within(60_000_000));
    }

    [Benchmark(OperationsPerInvoke = Steps)]
    public void CancelAndArmAtRandom()
    {
        for (var i = 0; i < Steps; i++)
        {
            var id = Next();
            _wheel.Cancel(id);
            _wheel.Arm(id, Within(60_000_000));
        }
    }

    /// <summary>The usual case of a retransmission time-out: later than before, so that the entry stays where it is.</summary>
    [Benchmark(OperationsPerInvoke = Steps)]
    public void ArmLater()
    {
        for (var i = 0; i < Steps; i++) _wheel.Arm(Next(), Deadline.At(_now + Duration.FromSeconds(61)));
    }

    [Benchmark]
    public int FireWhenNothingIsDue() => _wheel.Fire(_now, _due);

    [Benchmark]
    public Instant NextDeadline() => _wheel.NextDeadline(_now);

    /// <summary>Time goes on; what fires is armed a minute later. All moves between slots are in it.</summary>
    [Benchmark(OperationsPerInvoke = Steps)]
    public void FireAndArmAMinuteLater()
    {
        for (var fired = 0; fired < Steps;)
        {
            var count = _wheel.Fire(_now, _due);
            for (var i = 0; i < count; i++) _wheel.Arm(_due[i], Deadline.At(_now + Duration.FromSeconds(60)));
            fired += count;
            if (count == 0) _now = Instant.Max(_now + Duration.FromMicroseconds(100), _wheel.NextDeadline(_now));
        }
    }

    [GlobalCleanup]
    public void Dispose() => _region?.Dispose();

    private uint Next() => _order[_at = _at + 1 == _order.Length ? 0 : _at + 1];

    private Deadline Within(int microseconds) => Deadline.At(_now + Duration.FromMicroseconds(_random.Next((uint)microseconds)));
}
