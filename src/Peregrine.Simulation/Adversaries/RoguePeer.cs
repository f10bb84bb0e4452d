// A connection of the adversary's own: it opens it like anybody, names a flow, and then keeps one rule or another no more: it acknowledges
// what it has not received, byte by byte, or never; shrinks its window; repeats data with other bytes; lets its timestamps run back.
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Judges;
using Peregrine.Simulation.Traffic;
using Peregrine.Wire;

namespace Peregrine.Simulation.Adversaries;

internal sealed class RoguePeer(Adversary owner, SimulatedHost victim, ushort localPort, int flow, byte[] header)
{
    private enum Manner
    {
        Honest, OptimisticAcks, AckDivision, ShrinkingWindow, ZeroWindow, NoAcks, Overlaps, OldTimestamps, StrangeSack, Urgent,
    }

    private const int SegmentsMax = 600;

    private readonly Manner _manner = (Manner)owner.Random.Next(10);
    private SeqNumber _next = new((uint)owner.Random.NextUInt64());
    private SeqNumber _received;
    private uint _clock = 1_000_000;
    private int _sent;
    private bool _isOpen, _isStopped;

    public ushort LocalPort { get; } = localPort;

    public int Flow { get; } = flow;

    public void Open()
    {
        var options = default(TcpOptions);
        options.Mss = (ushort)owner.Random.Pick(1, 64, 536, 1_460);
        if (_manner == Manner.OldTimestamps) options.SetTimestamps(_clock, 0);
        if (_manner == Manner.StrangeSack) options.SackPermitted = true;
        Send(TcpFlags.Syn, options, default);
        _next += 1;
    }

    public void Stop() => _isStopped = true;

    public void OnSegment(in SegmentView view, Instant now)
    {
        if (_isStopped || (view.Flags & TcpFlags.Rst) != 0 || _sent >= SegmentsMax) return;
        if ((view.Flags & TcpFlags.Syn) != 0)
        {
            if (_isOpen) return;
            _isOpen = true;
            _received = view.Seq + 1;
            Reply(TcpFlags.Ack | TcpFlags.Psh, header);
            _next += (uint)header.Length;
            return;
        }
        if (!_isOpen) return;
        var start = _received;
        var end = view.Seq + (uint)view.DataLength;
        if (end.IsAfter(_received)) _received = end;
        if (view.DataLength == 0 && !owner.Random.Percent(10)) return;
        Misbehave(start);
    }

    private void Misbehave(SeqNumber start)
    {
        switch (_manner)
        {
            case Manner.NoAcks:
                break;
            case Manner.OptimisticAcks:
                _received += (uint)owner.Random.Size(20_000);
                Reply(TcpFlags.Ack, default);
                break;
            case Manner.AckDivision:
                for (var at = start + 1; at.IsBefore(_received) && _sent < SegmentsMax; at += (uint)Math.Max(1, (_received - start) / 8)) Reply(TcpFlags.Ack, default, at);
                Reply(TcpFlags.Ack, default);
                break;
            case Manner.Overlaps:
                Reply(TcpFlags.Ack, owner.Junk[..owner.Random.Between(1, 1_000)], from: _next - (uint)owner.Random.Size(500));
                _next += (uint)owner.Random.Size(200);
                break;
            default:
                Reply(TcpFlags.Ack, owner.Random.Percent(20) ? owner.Junk[..owner.Random.Between(1, 600)] : default);
                break;
        }
    }

    private void Reply(TcpFlags flags, ReadOnlySpan<byte> payload, SeqNumber? ack = null, SeqNumber? from = null)
    {
        var options = default(TcpOptions);
        if (_manner == Manner.OldTimestamps)
        {
            _clock = owner.Random.Percent(30) ? _clock - (uint)owner.Random.Size(100_000) : _clock + 10;
            options.SetTimestamps(_clock, (uint)owner.Random.NextUInt64());
        }
        if (_manner == Manner.StrangeSack)
        {
            var a = _received + (uint)owner.Random.Size(5_000);
            options.TryAddSackBlock(new SackBlock(a, a + (uint)owner.Random.Size(5_000)));
            options.TryAddSackBlock(new SackBlock(_received - 100, _received + 100));
        }
        if (_manner == Manner.Urgent) flags |= TcpFlags.Urg;
        var before = _next;
        if (from is { } start) _next = start;
        Send(flags, options, payload, ack ?? _received);
        _next = before;
    }

    private void Send(TcpFlags flags, in TcpOptions options, ReadOnlySpan<byte> payload, SeqNumber ack = default)
    {
        _sent++;
        var window = _manner switch
        {
            Manner.ZeroWindow => (ushort)owner.Random.Pick(0, 0, 1),
            Manner.ShrinkingWindow => (ushort)Math.Max(0, 20_000 - (_sent * 777)),
            _ => (ushort)owner.Random.Pick(100, 5_000, 65_535),
        };
        var segment = new TcpSegment { Seq = _next, Ack = ack, Flags = flags, Window = new UnscaledWindow(window), Options = options, UrgentPointer = (ushort)owner.Random.Size(2_000) };
        owner.Send(PacketForge.Tcp(
            owner.World.Buffers, owner.Mac, victim.Mac, owner.Address, LocalPort, victim.AddressV4, HostTraffic.Port, segment, payload));
    }
}
