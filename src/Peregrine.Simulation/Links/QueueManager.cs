// Active queue management of one lane. A lane's rate is constant while a frame waits, so its time of departure is known when it comes, and
// the decision that RFC 8289 takes at the head of the queue can be taken here: the sequence of decisions is the same.
using Peregrine.Core.Time;

namespace Peregrine.Simulation.Links;

internal struct QueueManager
{
    // RFC 8289 §4.2, §4.3.
    private const long TargetNs = 5_000_000;
    private const long IntervalNs = 100_000_000;

    private long _averageBytes16;
    private long _firstAbove;
    private long _dropNext;
    private int _count;
    private bool _isDropping;

    /// <summary>Whether the frame is to be dropped or marked.</summary>
    public bool Strikes(LinkConditions conditions, long queuedBytes, Instant departure, Duration sojourn, SimulationRandom random) => conditions.Discipline switch
    {
        QueueDiscipline.Red => Red(conditions, queuedBytes, random),
        QueueDiscipline.CoDel => CoDel(departure.Nanoseconds, sojourn.Nanoseconds),
        _ => false,
    };

    private bool Red(LinkConditions conditions, long queuedBytes, SimulationRandom random)
    {
        // An average with weight 1/16, kept in sixteenths.
        _averageBytes16 += queuedBytes - (_averageBytes16 >> 4);
        var average = _averageBytes16 >> 4;
        long min = conditions.QueueBytesMax / 4, max = conditions.QueueBytesMax * 3L / 4;
        if (average < min) return false;
        if (average >= max) return true;
        return random.PerMillion((int)((average - min) * 100_000 / Math.Max(1, max - min)));
    }

    private bool CoDel(long now, long sojourn)
    {
        if (sojourn < TargetNs)
        {
            _firstAbove = 0;
            _isDropping = false;
            return false;
        }
        if (_firstAbove == 0) _firstAbove = now + IntervalNs;
        if (_isDropping)
        {
            if (now < _dropNext) return false;
            _count++;
            _dropNext += Step();
            return true;
        }
        if (now < _firstAbove) return false;
        _isDropping = true;
        // RFC 8289 §5.3: soon after the last time, go on near the rate that was needed then.
        _count = _count > 2 && now - _dropNext < 16 * IntervalNs ? _count - 2 : 1;
        _dropNext = now + Step();
        return true;
    }

    // interval / sqrt(count), in integers.
    private readonly long Step()
    {
        var square = (ulong)IntervalNs * (ulong)IntervalNs / (ulong)_count;
        ulong root = 0;
        for (var bit = 1UL << 30; bit != 0; bit >>= 1)
        {
            var tried = root | bit;
            if (tried * tried <= square) root = tried;
        }
        return (long)root;
    }
}
