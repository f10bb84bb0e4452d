// One direction of a wire in virtual time: delay, rate, loss, duplication, reordering and corruption from a seed. Frames are copied, as on a wire.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine.Scenarios.Tests.World;

/// <summary>What a wire does to frames; shares are per thousand.</summary>
public sealed record WireOptions
{
    public Duration Delay { get; init; } = Duration.FromMilliseconds(5);

    public Duration Jitter { get; init; }

    public int LossPerMille { get; init; }

    public int DuplicationPerMille { get; init; }

    public int CorruptionPerMille { get; init; }

    /// <summary>Bits a second; 0 for no limit.</summary>
    public long RateBitsPerSecond { get; init; }

    /// <summary>With so many frames waiting for the rate, ECN-capable ones are marked (IPv4 over Ethernet only); 0 for never.</summary>
    public int MarkFramesMin { get; init; }

    /// <summary>Frames that may wait for the rate.</summary>
    public int QueueFramesMax { get; init; } = 256;
}

public sealed class VirtualWire(WireOptions options, ulong seed)
{
    private readonly PriorityQueue<byte[], (long At, long Order)> _onTheWay = new();
    private ulong _state = seed * 2654435761 + 1;
    private long _order;
    private Instant _busyUntil;

    public WireOptions Options { get; set; } = options;

    public long Sent { get; private set; }

    public long Lost { get; private set; }

    public long Marked { get; private set; }

    /// <summary>Most frames of one size that have waited.</summary>
    public long QueueMax { get; set; }

    /// <summary>Says whether a frame is to be dropped, besides the random losses; gets its number and bytes.</summary>
    public Func<long, byte[], bool>? DropWhen { get; set; }

    /// <summary>Sees every frame that is sent.</summary>
    public Action<Instant, byte[]>? OnFrame { get; set; }

    public Instant NextArrival => _onTheWay.TryPeek(out _, out var key) ? new Instant(key.At) : Instant.Never;

    public void Send(byte[] frame, Instant now)
    {
        Sent++;
        OnFrame?.Invoke(now, frame);
        if (Chance(Options.LossPerMille) || DropWhen?.Invoke(Sent, frame) == true)
        {
            Lost++;
            return;
        }
        var departure = now;
        if (Options.RateBitsPerSecond > 0)
        {
            var time = new Duration(frame.Length * 8L * 1_000_000_000 / Options.RateBitsPerSecond);
            if (_busyUntil > now && (_busyUntil - now).Nanoseconds > time.Nanoseconds * Options.QueueFramesMax)
            {
                Lost++;
                return;
            }
            if (Options.MarkFramesMin > 0 && _busyUntil > now && (_busyUntil - now).Nanoseconds > time.Nanoseconds * Options.MarkFramesMin) Mark(frame);
            QueueMax = Math.Max(QueueMax, _busyUntil > now ? (_busyUntil - now).Nanoseconds / time.Nanoseconds : 0);
            departure = Instant.Max(now, _busyUntil) + time;
            _busyUntil = departure;
        }
        if (Chance(Options.CorruptionPerMille)) frame[Next(frame.Length)] ^= (byte)(1 + Next(255));
        Arrive(frame, departure);
        if (Chance(Options.DuplicationPerMille)) Arrive((byte[])frame.Clone(), departure);
    }

    public bool TryReceive(Instant now, out byte[] frame)
    {
        frame = [];
        if (NextArrival > now) return false;
        frame = _onTheWay.Dequeue();
        return true;
    }

    private void Arrive(byte[] frame, Instant departure)
    {
        var at = departure + Options.Delay;
        if (Options.Jitter.Nanoseconds > 0) at += new Duration((long)(Random64() % (ulong)Options.Jitter.Nanoseconds));
        _onTheWay.Enqueue(frame, (at.Nanoseconds, _order++));
    }

    // Congestion experienced (RFC 3168 §5), with the header's checksum made good (RFC 1624).
    private void Mark(byte[] frame)
    {
        if (frame[12] != 8 || frame[13] != 0 || (frame[15] & 3) is 0 or 3) return;
        var sum = (uint)((frame[24] << 8) | frame[25]) + (uint)(frame[15] & 3);
        frame[15] |= 3;
        sum += 0xFFFF - 3;
        sum = (sum & 0xFFFF) + (sum >> 16);
        sum = (sum & 0xFFFF) + (sum >> 16);
        (frame[24], frame[25]) = ((byte)(sum >> 8), (byte)sum);
        Marked++;
    }

    private bool Chance(int perMille) => perMille > 0 && Next(1000) < perMille;

    private int Next(int bound) => (int)(Random64() % (uint)bound);

    private ulong Random64()
    {
        _state += 0x9E3779B97F4A7C15;
        var z = _state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
