// What the mechanisms are worth, in virtual time: the same transfer over the same damaged wire, with one of them and without.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;

namespace Peregrine.Scenarios.Tests;

public sealed class RecoveryTimeTests
{
    private static readonly WireOptions s_wire = new() { Delay = Duration.FromMilliseconds(20), RateBitsPerSecond = 50_000_000 };

    [Fact]
    // RFC 8985 §7: a flight whose last segments are lost costs two round trips instead of a time-out.
    public void ALostTailIsRepairedByProbesBeforeTheTimeout()
    {
        var with = TimeOf(TcpSettings.Default, 14_480, s_wire);
        var without = TimeOf(TcpSettings.Default with { TailLossProbe = false }, 14_480, s_wire);
        Assert.InRange(with.Milliseconds, 80, 260);
        Assert.True(without.Milliseconds > with.Milliseconds, $"{without} without probes, {with} with");
    }

    [Fact]
    // RFC 8985 §6: a wire that reorders makes counting retransmit and reduce; a reordering window waits.
    public void OverAWireThatReordersRackRetransmitsLess()
    {
        // Nothing is lost here, not to a full queue either.
        var wire = s_wire with { Jitter = Duration.FromMilliseconds(8), QueueFramesMax = 100_000 };
        var (with, without) = (0L, 0L);
        for (ulong seed = 1; seed <= 3; seed++)
        {
            with += Retransmitted(TcpSettings.Default, wire, seed);
            without += Retransmitted(TcpSettings.Default with { Rack = false }, wire, seed);
        }
        Assert.True(with * 4 < without, $"{with} retransmissions with RACK, {without} without");
    }

    [Fact]
    // A retransmission that is lost again is found by what was sent after it, and not by a time-out.
    public void ALostRetransmissionCostsNoTimeoutWithRack()
    {
        var (with, timeoutsWith) = Twice(TcpSettings.Default);
        var (without, timeoutsWithout) = Twice(TcpSettings.Default with { Rack = false, TailLossProbe = false });
        Assert.Equal(0, timeoutsWith);
        Assert.True(timeoutsWithout > 0, "the wire did not do what it should");
        Assert.True(with < without, $"{with} with RACK, {without} without");
    }

    private static (Duration Time, long Timeouts) Twice(TcpSettings settings)
    {
        using var world = new TwoHosts(1, s_wire);
        var (client, server) = world.Open(client: settings);
        var transfer = new Transfer(world.A, client, world.B, server, 1_000_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        uint hit = 0;
        var losses = 0;
        world.AtoB.DropWhen = (n, frame) =>
        {
            if (frame.Length < 1000) return false;
            var seq = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(frame.AsSpan(14 + 20 + 4));
            if (hit == 0 && n > 60) hit = seq;
            return hit == seq && losses++ < 2;
        };
        var start = world.Now;
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(30), "the transfer");
        Assert.True(losses >= 2);
        return (world.Now - start, world.A.Tcp.Counters.RetransmissionTimeouts);
    }

    private static Duration TimeOf(TcpSettings settings, int bytes, WireOptions wire)
    {
        using var world = new TwoHosts(1, wire);
        var (client, server) = world.Open(client: settings);
        var first = world.AtoB.Sent;
        var transfer = new Transfer(world.A, client, world.B, server, bytes);
        world.OnTurn = () => transfer.Turn(world.Now);
        var start = world.Now;
        // The frames are numbered from the last of the handshake on: ten segments of data make the flight.
        world.AtoB.DropWhen = (n, _) => n - first is 9 or 10;
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(30), "the transfer");
        return world.Now - start;
    }

    private static long Retransmitted(TcpSettings settings, WireOptions wire, ulong seed)
    {
        using var world = new TwoHosts(seed, wire);
        var (client, server) = world.Open(client: settings);
        var transfer = new Transfer(world.A, client, world.B, server, 2_000_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(100), "the transfer");
        return world.A.Tcp.Counters.SegmentsRetransmitted;
    }
}
