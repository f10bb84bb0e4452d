// One direction of a link. A frame meets, in this order: blackholes, the MTU, losses, damage, the queue with its rate and management, the
// way with its delay, jitter and overtaking, and duplication. Everything follows from the lane's own stream of chances.
using System.Buffers.Binary;
using Peregrine.Core.Time;
using Peregrine.Simulation.Nodes;
using Peregrine.Simulation.Trace;
using Peregrine.Wire;

namespace Peregrine.Simulation.Links;

/// <summary>What happened to frames on a lane.</summary>
public struct LaneCounters
{
    /// <summary>Frames that were sent into it.</summary>
    public long Sent;

    /// <summary>Frames that arrived, duplicates included.</summary>
    public long Arrived;

    /// <summary>Lost by chance, by number or in a bad spell, or damaged so that Ethernet noticed.</summary>
    public long Lost;

    /// <summary>Dropped by the queue.</summary>
    public long QueueDropped;

    /// <summary>Marked by the queue's management (ECN).</summary>
    public long Marked;

    /// <summary>Swallowed: down, a blackhole, or larger than the MTU.</summary>
    public long Swallowed;

    /// <summary>Arrived twice.</summary>
    public long Duplicated;

    /// <summary>Came later than others that were sent after them.</summary>
    public long Reordered;

    /// <summary>Arrived with changed bytes.</summary>
    public long Corrupted;
}

/// <summary>One direction of a link.</summary>
public sealed class LinkLane : IEventTarget
{
    private readonly SimulatedWorld _world;
    private readonly SimulationRandom _random;
    private readonly int _number;
    private QueueManager _manager;
    private Instant _busyUntil;
    private Instant _lastArrival;
    private bool _isBad;
    private LaneCounters _counters;

    internal LinkLane(SimulatedWorld world, SimulatedLink link, SimulatedNode from, SimulatedNode to, int toPort, int number, LinkConditions conditions)
    {
        (_world, Link, From, To, ToPort, _number, Conditions) = (world, link, from, to, toPort, number, conditions);
        _random = new SimulationRandom(world.Seed, 0x1_0000_0000UL + (ulong)number);
        Name = $"{from.Name}>{to.Name}";
    }

    /// <summary>What the lane does to frames, from the next one on.</summary>
    public LinkConditions Conditions { get; set; }

    /// <summary>The link that it is a direction of.</summary>
    public SimulatedLink Link { get; }

    /// <summary>"from>to".</summary>
    public string Name { get; }

    /// <summary>What happened so far.</summary>
    public ref readonly LaneCounters Counters => ref _counters;

    internal SimulatedNode From { get; }

    internal SimulatedNode To { get; }

    internal int ToPort { get; }

    /// <summary>Sends a frame, whose buffer is the lane's from here on.</summary>
    internal void Send(FrameBuffer frame, Instant now)
    {
        _counters.Sent++;
        var c = Conditions;
        var size = frame.Length - EthernetHeader.Length;
        if (!c.IsUp || (c.SwallowFromBytes > 0 && size >= c.SwallowFromBytes && size <= c.SwallowToBytes)) Drop(frame, ref _counters.Swallowed, FrameFate.Blackholed);
        else if (size > c.Mtu) Drop(frame, ref _counters.Swallowed, FrameFate.TooBig);
        else if (IsLost(c)) Drop(frame, ref _counters.Lost, FrameFate.Lost);
        else if (!Queues(c, frame, now, out var departure)) Drop(frame, ref _counters.QueueDropped, FrameFate.QueueFull);
        else Travel(c, frame, departure);
    }

    /// <summary>A frame that would have been sent vanishes before.</summary>
    internal void Swallow(FrameBuffer frame)
    {
        _counters.Sent++;
        Drop(frame, ref _counters.Swallowed, FrameFate.Blackholed);
    }

    void IEventTarget.OnEvent(object? payload, Instant now)
    {
        var frame = (FrameBuffer)payload!;
        _counters.Arrived++;
        _world.OnArrival(this, _number, frame);
        To.OnFrame(ToPort, frame, now);
    }

    private void Drop(FrameBuffer frame, ref long counter, FrameFate fate)
    {
        counter++;
        _world.OnDropped(this, frame, fate);
    }

    private bool IsLost(LinkConditions c)
    {
        if (c.LoseEveryNth > 0 && _counters.Sent % c.LoseEveryNth == 0) return true;
        if (_random.PerMillion(c.LossPerMillion) || _random.PerMillion(c.CaughtCorruptionPerMillion)) return true;
        if (c.BurstStartPerMillion == 0)
        {
            _isBad = false;
            return false;
        }
        _isBad = _isBad ? !_random.PerMillion(c.BurstEndPerMillion) : _random.PerMillion(c.BurstStartPerMillion);
        return _isBad && _random.PerMillion(c.BurstLossPerMillion);
    }

    private bool Queues(LinkConditions c, FrameBuffer frame, Instant now, out Instant departure)
    {
        departure = now;
        if (c.RateBitsPerSecond <= 0) return true;
        var wait = _busyUntil > now ? _busyUntil - now : Duration.Zero;
        // Microseconds keep the product within 64 bits at any rate and wait that make sense.
        var queued = wait.Microseconds * (c.RateBitsPerSecond / 8) / 1_000_000;
        if (queued + frame.Length > c.QueueBytesMax) return false;
        if (_manager.Strikes(c, queued, now + wait, wait, _random))
        {
            if (!c.EcnMarks || !TryMark(frame.Span)) return false;
            _counters.Marked++;
        }
        departure = now + wait + new Duration(frame.Length * 8_000_000_000L / c.RateBitsPerSecond);
        _busyUntil = departure;
        return true;
    }

    private void Travel(LinkConditions c, FrameBuffer frame, Instant departure)
    {
        if (_random.PerMillion(c.CorruptionPerMillion) && !frame.IsDamaged && !IsLaterFragment(frame.Span)) Corrupt(frame);
        var twin = _random.PerMillion(c.DuplicationPerMillion) ? _world.Buffers.Copy(frame) : null;
        Arrive(c, frame, departure);
        if (twin is null) return;
        _counters.Duplicated++;
        Arrive(c, twin, departure);
    }

    private void Arrive(LinkConditions c, FrameBuffer frame, Instant departure)
    {
        var at = departure + c.Delay;
        if (c.Jitter.Nanoseconds > 0) at += new Duration(_random.Next((int)Math.Min(c.Jitter.Microseconds, int.MaxValue)) * 1_000L);
        if (_random.PerMillion(c.ReorderingPerMillion))
        {
            at += new Duration(_random.Next((int)Math.Min(c.ReorderDelay.Microseconds, int.MaxValue)) * 1_000L);
            if (at > _lastArrival) _counters.Reordered++;
        }
        else if (!c.JitterReorders)
        {
            at = Instant.Max(at, _lastArrival);
            _lastArrival = at;
        }
        _world.Queue.Add(at, this, frame);
    }

    // One byte: a sum of 16-bit words notices every change of a single byte, so what passes IP's and TCP's checksums was not changed there.
    private void Corrupt(FrameBuffer frame)
    {
        var bytes = frame.Span;
        bytes[_random.Next(bytes.Length)] ^= (byte)(1 << _random.Next(8));
        _counters.Corrupted++;
        frame.IsDamaged = true;
        _world.OnCorrupted(this, frame);
    }

    // Two changes in two fragments of one datagram may cancel each other out in its sum: so only the first fragment is ever changed.
    private static bool IsLaterFragment(ReadOnlySpan<byte> frame)
    {
        if (frame.Length < EthernetHeader.Length + 48) return false;
        var ip = frame[EthernetHeader.Length..];
        return BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) switch
        {
            EtherType.IPv4 => (BinaryPrimitives.ReadUInt16BigEndian(ip[6..]) & 0x1FFF) != 0,
            EtherType.IPv6 => ip[6] == IpProtocol.Fragment && (BinaryPrimitives.ReadUInt16BigEndian(ip[42..]) & 0xFFF8) != 0,
            _ => false,
        };
    }

    /// <summary>RFC 3168 §5: CE in a packet that is ECN-capable.</summary>
    private static bool TryMark(Span<byte> frame)
    {
        if (frame.Length < EthernetHeader.Length + 20) return false;
        var ip = frame[EthernetHeader.Length..];
        switch (BinaryPrimitives.ReadUInt16BigEndian(frame[12..]))
        {
            case EtherType.IPv4 when (ip[1] & 3) is 1 or 2:
                var before = BinaryPrimitives.ReadUInt16BigEndian(ip);
                ip[1] |= 3;
                var sum = InternetChecksum.Update(BinaryPrimitives.ReadUInt16BigEndian(ip[10..]), before, BinaryPrimitives.ReadUInt16BigEndian(ip));
                BinaryPrimitives.WriteUInt16BigEndian(ip[10..], sum);
                return true;
            case EtherType.IPv6 when ((ip[1] >> 4) & 3) is 1 or 2:
                ip[1] |= 0x30;
                return true;
            default:
                return false;
        }
    }
}
