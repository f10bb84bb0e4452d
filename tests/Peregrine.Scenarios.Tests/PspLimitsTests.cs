// PSP where numbers come round, ports come again, keys are given twice, and an attacker in between knows the sequence numbers.
using System.Buffers.Binary;
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Psp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests;

public sealed class PspLimitsTests
{
    [Fact]
    public void TwoGibibytesAfterTheKeyDataStillGoSealed()
    {
        using var world = Make();
        var (client, _) = Secure(world);
        ref var c = ref world.A.Tcp.Context.Tcbs.Get(client.Index).C;
        var psp = world.A.Stack.Psp!;
        foreach (var sent in (uint[])[0, 1, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xC000_0000, uint.MaxValue])
        {
            Assert.NotNull(psp.SealOf(c, c.Snd.Nxt + sent, 1_000));
            Assert.Equal(uint.MaxValue, psp.AlikeFrom(c, c.Snd.Nxt + sent));
        }
    }

    [Fact]
    public void PortsOfAConnectionThatHadKeysAreGoodForANewOne()
    {
        using var world = Make();
        var local = SecureAndClose(world);
        Assert.Equal(SocketError.Success, world.B.Tcp.Listen(new TcpListenOptions(new Endpoint(world.B.Address, 80), 64), out _));
        Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 80), local), world.Now, out var again));
        world.AssertRunUntil(() => world.A.Tcp.GetStatus(again).State == TcpState.Established, Duration.FromSeconds(60), "the second connection");
        Assert.Equal(0, world.B.Stack.Psp!.AssociationCount);
    }

    [Fact]
    public void PortsOfAConnectionThatHadKeysAreRefusedInClearTextWhereNobodyListens()
    {
        using var world = Make();
        var local = SecureAndClose(world);
        Assert.Equal(SocketError.Success, world.A.Tcp.Connect(new TcpConnectOptions(new Endpoint(world.B.Address, 80), local), world.Now, out var again));
        world.AssertRunUntil(() => world.A.Tcp.GetStatus(again).State == TcpState.Closed, Duration.FromSeconds(1), "the refusal");
    }

    // Where the client of a secured connection was that has ended.
    private static Endpoint SecureAndClose(TwoHosts world)
    {
        var (client, server) = Secure(world);
        var local = world.A.Tcp.LocalOf(client);
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
        return local;
    }

    [Fact]
    public void AStackThatEndsForgetsItsKeys()
    {
        using var world = Make();
        Secure(world);
        var psp = world.A.Stack.Psp!;
        Assert.Equal(1, psp.AssociationCount);
        world.A.Stack.Dispose();
        Assert.Equal(0, psp.AssociationCount);
    }

    [Fact]
    public void AKeyThatIsGivenToTwoConnectionsSeesNoIvTwice()
    {
        using var world = Make();
        var ivs = new HashSet<ulong>();
        var packets = 0;
        world.AtoB.OnFrame = (_, frame) =>
        {
            if (!IsPsp(frame)) return;
            packets++;
            ivs.Add(BinaryPrimitives.ReadUInt64BigEndian(frame.AsSpan(14 + 20 + 8 + 8)));
        };
        foreach (var port in (ushort[])[80, 81])
        {
            var (client, _) = world.Open(port);
            Assert.Equal(SocketError.Success, world.A.Stack.Psp!.AssociateReceive(client, out _));
            Assert.Equal(SocketError.Success, world.A.Stack.Psp.AssociateTransmit(client, new PspKey(7, 7), world.Now));
            world.A.Tcp.Send(client, "data"u8, world.Now);
        }
        world.Run(Duration.FromSeconds(3));
        Assert.True(packets > 2);
        Assert.Equal(packets, ivs.Count);
    }

    [Fact]
    public void ClearTextIsNotTakenForSealedBecauseOfSegmentsOutsideTheWindow()
    {
        using var world = Make();
        var (client, server) = world.Open();
        Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(server, out _));
        world.A.Tcp.Send(client, "clear"u8, world.Now);
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).ReadableBytes == 5, Duration.FromSeconds(1), "the bytes");
        var b = world.B.Tcp.Context.Tcbs.Get(server.Index);
        var seq = b.C.Rcv.Nxt;
        for (var i = 0; i < 2; i++)
        {
            seq += 0x7FFF_FF00;
            var forged = new TcpSegment { Seq = seq, Ack = b.C.Snd.Nxt, Flags = TcpFlags.Ack };
            world.B.Deliver([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, .. RawTcp.Packet(world.A.Address, b.C.RemotePort, world.B.Address, b.C.LocalPort, forged, [1])], world.Now);
        }
        Assert.Equal(SocketError.TryAgain, world.B.Stack.Psp.AssociateTransmit(server, new PspKey(7, 7), world.Now));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AFinInClearTextThatWaitsForDataDoesNotEndWhatIsSealed(bool isBeforeTheFirstKey)
    {
        using var world = Make();
        var (client, server) = world.Open();
        if (!isBeforeTheFirstKey) Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(server, out _));
        var isLost = false;
        world.AtoB.DropWhen = (_, frame) => ClearLength(frame) > 0 && (isLost = true);
        world.A.Tcp.Send(client, "lost"u8, world.Now);
        world.AssertRunUntil(() => isLost, Duration.FromSeconds(1), "the loss");
        world.A.Tcp.Close(client, world.Now);
        world.AssertRunUntil(() => (world.B.Tcp.Context.Tcbs.Get(server.Index).C.Flags & TcbFlags.FinWaiting) != 0, Duration.FromSeconds(1), "the FIN");
        if (isBeforeTheFirstKey) Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(server, out _));
        Assert.Equal(SocketError.TryAgain, world.B.Stack.Psp!.AssociateTransmit(server, new PspKey(7, 7), world.Now));
    }

    [Fact]
    public void TheLastByteBeforeAFinInClearTextWaitsToBeRead()
    {
        using var world = Make();
        var (client, server) = world.Open();
        Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(server, out _));
        world.A.Tcp.Send(client, "x"u8, world.Now);
        world.A.Tcp.Close(client, world.Now);
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).PeerClosed, Duration.FromSeconds(1), "the FIN");
        Assert.Equal(SocketError.TryAgain, world.B.Stack.Psp.AssociateTransmit(server, new PspKey(7, 7), world.Now));
        world.B.Tcp.Receive(server, new byte[1], world.Now);
        Assert.Equal(SocketError.Success, world.B.Stack.Psp.AssociateTransmit(server, new PspKey(7, 7), world.Now));
    }

    [Fact]
    public void WhatPspTakesComesOffThePeersMss()
    {
        using var world = Make();
        var (client, _) = Secure(world, server: new TcpSettings { MaximumSegmentSize = 1_000 });
        Assert.True(world.A.Tcp.TryGetInfo(client, world.Now, out var info));
        Assert.Equal(1_000 - 12 - 8 - 16 - 16, info.SendMss);
    }

    [Fact]
    public void ProbesForTheMtuAreSealedAndNoLargerThanTheLinkTakes()
    {
        using var world = Make();
        var (client, server) = world.Open(client: new TcpSettings { MtuProbing = TcpMtuProbingMode.Always });
        Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(server, out var key));
        Assert.Equal(SocketError.Success, world.A.Stack.Psp!.AssociateReceive(client, out _));
        var before = world.A.Tcp.Context.Tcbs.Get(client.Index).C.Mss;
        var transfer = new Transfer(world.A, client, world.B, server, 4_000_000) { QueuedMax = 100_000 };
        transfer.Turn(world.Now);
        Assert.Equal(SocketError.Success, world.A.Stack.Psp.AssociateTransmit(client, key, world.Now));
        var longest = 0;
        var longestPacket = 0;
        world.AtoB.OnFrame = (_, frame) => (longest, longestPacket) = (Math.Max(longest, ClearLength(frame)), Math.Max(longestPacket, frame.Length - 14));
        world.OnTurn = () => transfer.Turn(world.Now);
        transfer.QueuedMax = long.MaxValue;
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(60), "the transfer");
        Assert.InRange(longest, 1, before);
        Assert.InRange(longestPacket, 1_490, 1_500);
        Assert.InRange(world.A.Tcp.Context.Tcbs.Get(client.Index).C.Mss, 1_400, 1_408);
    }

    [Fact]
    public void WhatIsInFlightWhenTheKeyComesDoesNotGoAgainForTheSmallerMss()
    {
        using var world = Make();
        var (client, server) = world.Open();
        Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(server, out var key));
        Assert.Equal(SocketError.Success, world.A.Stack.Psp!.AssociateReceive(client, out _));
        var sent = 0;
        world.AtoB.OnFrame = (_, frame) => sent += ClearLength(frame);
        world.A.Tcp.Send(client, new byte[10_000], world.Now);
        world.AssertRunUntil(() => sent > 5_000, Duration.FromSeconds(1), "the first segments");
        Assert.Equal(SocketError.Success, world.A.Stack.Psp.AssociateTransmit(client, key, world.Now));
        // Whatever is to go again goes with this.
        world.A.Tcp.Send(client, new byte[1_000], world.Now);
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).ReadableBytes == 11_000, Duration.FromSeconds(1), "the bytes");
        Assert.Equal(10_000, sent);
        Assert.Equal(0, world.A.Tcp.Counters.SegmentsRetransmitted);
    }

    [Fact]
    public void AConnectionInAUdpTunnelGetsNoKey()
    {
        using var world = Make();
        world.A.Tcp.UdpTunnelPort = world.B.Tcp.UdpTunnelPort = 9_899;
        var (client, server) = world.Open(client: new TcpSettings { UdpEncapsulationPort = 9_899 });
        Assert.Equal(SocketError.OperationNotSupported, world.A.Stack.Psp!.AssociateReceive(client, out _));
        Assert.Equal(SocketError.OperationNotSupported, world.B.Stack.Psp!.AssociateReceive(server, out _));
    }

    private static TwoHosts Make()
    {
        var world = new TwoHosts(6);
        world.A.Stack.EnablePsp(0xA);
        world.B.Stack.EnablePsp(0xB);
        return world;
    }

    private static (TcpHandle Client, TcpHandle Server) Secure(TwoHosts world, TcpSettings? server = null)
    {
        var (client, accepted) = world.Open(server: server);
        Assert.Equal(SocketError.Success, world.A.Stack.Psp!.AssociateReceive(client, out var ofA));
        Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(accepted, out var ofB));
        Assert.Equal(SocketError.Success, world.A.Stack.Psp.AssociateTransmit(client, ofB, world.Now));
        Assert.Equal(SocketError.Success, world.B.Stack.Psp.AssociateTransmit(accepted, ofA, world.Now));
        return (client, accepted);
    }

    // Ethernet and IPv4 only.
    private static bool IsPsp(byte[] frame) => frame[12] == 8 && frame[13] == 0 && frame[23] == IpProtocol.Udp && BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(36)) == PspLayer.DefaultPort;

    private static int ClearLength(byte[] frame) =>
        frame[12] == 8 && frame[13] == 0 && frame[23] == IpProtocol.Tcp && TcpPacket.TryParse(frame.AsSpan(34), out var packet) && packet.ToSegment(out var s) ? s.PayloadLength : 0;
}
