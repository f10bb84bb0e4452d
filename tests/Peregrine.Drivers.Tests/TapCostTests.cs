using System.Diagnostics;
using System.Net.Sockets;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Tests;

/// <summary>What a frame costs over TAP. Measures and prints on demand only (docs/internals/links.md has the command); asserts only that all frames moved.</summary>
public sealed class TapCostTests
{
    private const int Rounds = 200, FramesARound = 256;

    [Theory(Explicit = true)]
    [InlineData(64, true)]
    [InlineData(1400, true)]
    [InlineData(64, false)]
    public void EveryFrameMovesAndItsCostIsPrinted(int payload, bool offloads)
    {
        using var tap = new TapFixture(new TapOptions { Medium = Core.Links.LinkMedium.Ip, Offloads = offloads });
        using var socket = tap.KernelSocket(SocketType.Dgram);
        socket.Bind(TapFixture.End(TapFixture.Kernel4, 4000));
        socket.Connect(TapFixture.End(TapFixture.Ours4, 4000));
        var bytes = new byte[payload];
        var burst = new Frame[64];
        long receiving = 0, sending = 0, received = 0, sent = 0;
        var datagram = new byte[8 + payload];
        (datagram[0], datagram[1], datagram[2], datagram[3]) = (0x0F, 0xA0, 0x0F, 0xA0);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), (ushort)datagram.Length);
        var packet = PoolFixture.Ip(TapFixture.Ours4, TapFixture.Kernel4, 17, datagram);
        for (var round = -20; round < Rounds; round++)
        {
            for (var i = 0; i < FramesARound; i++) socket.Send(bytes);
            var start = Stopwatch.GetTimestamp();
            var got = 0;
            for (var n = tap.Queue.Receive(burst); n > 0; n = tap.Queue.Receive(burst))
            {
                for (var i = 0; i < n; i++) tap.Pool.Return(burst[i]);
                got += n;
            }
            var middle = Stopwatch.GetTimestamp();
            for (var i = 0; i < burst.Length; i++) burst[i] = PoolFixture.Make(tap.Pool, packet);
            var before = Stopwatch.GetTimestamp();
            var taken = tap.Queue.Transmit(burst);
            var end = Stopwatch.GetTimestamp();
            if (round < 0) continue;
            (receiving, sending, received, sent) = (receiving + middle - start, sending + end - before, received + got, sent + taken);
        }
        Assert.True(received >= Rounds * FramesARound * 9 / 10);
        Assert.Equal(Rounds * burst.Length, sent);
        TestContext.Current.TestOutputHelper!.WriteLine(
            $"{payload} bytes, offloads {offloads}: {receiving * 1e9 / Stopwatch.Frequency / received:F0} ns a frame received, {sending * 1e9 / Stopwatch.Frequency / sent:F0} ns a frame sent");
    }
}
