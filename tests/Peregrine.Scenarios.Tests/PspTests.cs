// Connections that PSP secures (PSP Architecture Specification; what is taken when is the table of the Linux kernel's documentation, networking/psp):
// between two stacks, over a wire that loses, with what others forge in between.
using System.Buffers.Binary;
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Psp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests;

public sealed class PspTests
{
    private const long Clear = 30_000;

    [Theory]
    [InlineData(false, 1_500)]
    [InlineData(true, 1_500)]
    [InlineData(false, 9_000)]
    [InlineData(true, 9_000)]
    public void WhatIsGivenAfterTheKeyGoesSealedAndWhatWasGivenBeforeNever(bool v6, int mtu)
    {
        using var world = Make(new WireOptions { Delay = Duration.FromMilliseconds(5), LossPerMille = 60 });
        foreach (var host in (Host[])[world.A, world.B]) host.Stack.SetMtu(host.Interface, mtu);
        var (client, server) = world.Open(v6: v6);
        var transfer = new Transfer(world.A, client, world.B, server, 600_000) { QueuedMax = Clear };
        transfer.Turn(world.Now);
        var clearEnd = world.A.Tcp.Context.Tcbs.Get(client.Index).C.Snd.QueueEnd;
        Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(server, out var ofB));
        Assert.Equal(SocketError.Success, world.A.Stack.Psp!.AssociateReceive(client, out _));
        Assert.Equal(SocketError.Success, world.A.Stack.Psp!.AssociateTransmit(client, ofB, world.Now));
        var (wrong, secured) = (0, 0);
        world.AtoB.OnFrame = (_, frame) =>
        {
            secured += IsPsp(frame) ? 1 : 0;
            if (ClearSegment(frame) is { PayloadLength: > 0 } s && (s.Seq + (uint)s.PayloadLength).IsAfter(clearEnd)) wrong++;
        };
        transfer.QueuedMax = long.MaxValue;
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(120), "the transfer");
        Assert.Equal(0, wrong);
        Assert.True(secured > 500_000 / mtu);
        Assert.True(world.A.Tcp.Counters.SegmentsRetransmitted > 0, "the wire lost nothing");
        Assert.Equal(0, world.B.Tcp.Counters.DroppedAuthentication);
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
    }

    [Fact]
    public void BothWaysSealedFromKeysToTimeWait()
    {
        using var world = Make();
        var (client, server) = Secure(world);
        var clear = 0;
        world.AtoB.OnFrame = world.BtoA.OnFrame = (_, frame) => clear += ClearSegment(frame) is null ? 0 : 1;
        var transfer = new Transfer(world.A, client, world.B, server, 100_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(20), "the transfer");
        world.A.Tcp.Close(client, world.Now);
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).PeerClosed, Duration.FromSeconds(5), "the client's FIN");
        world.B.Tcp.Close(server, world.Now);
        world.AssertRunUntil(() => world.A.Tcp.TimeWaitCount == 1 && world.B.Tcp.ConnectionCount == 0, Duration.FromSeconds(5), "TIME-WAIT");
        Assert.Equal(0, clear);
        Assert.Equal(0, world.A.Tcp.Counters.DroppedAuthentication + world.B.Tcp.Counters.DroppedAuthentication);
    }

    [Fact]
    public void ASegmentHoldsAsMuchLessAsPspTakes()
    {
        using var world = Make();
        var (client, server) = Secure(world);
        var longest = 0;
        world.AtoB.OnFrame = (_, frame) => longest = Math.Max(longest, frame.Length - 14);
        var transfer = new Transfer(world.A, client, world.B, server, 20_000);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(20), "the transfer");
        Assert.Equal(1_500, longest);
        Assert.True(world.A.Tcp.TryGetInfo(client, world.Now, out var info));
        Assert.Equal(1_500 - 20 - 20 - 12 - 8 - 16 - 16, info.SendMss);
    }

    [Fact]
    public void WhatWasChangedOnTheWayIsDroppedAndCounted()
    {
        using var world = Make();
        var (client, server) = Secure(world);
        var seen = SealedFrame(world, client, server);
        var before = world.B.Tcp.Counters.DroppedAuthentication;
        // Any bit of the PSP header, the cipher text and the tag; the headers before them are not sealed.
        for (var at = 14 + 20 + 8; at < seen.Length; at++)
        {
            var forged = seen.ToArray();
            forged[at] ^= 1;
            world.B.Deliver(forged, world.Now);
        }
        Assert.Equal(before + seen.Length - 42, world.B.Tcp.Counters.DroppedAuthentication);
        Assert.Equal(11, world.B.Tcp.GetStatus(server).ReadableBytes);
    }

    [Fact]
    public void EveryTruncationOfASealedPacketIsDropped()
    {
        using var world = Make();
        var (client, server) = Secure(world);
        var seen = SealedFrame(world, client, server);
        var accepted = world.B.Tcp.Counters.SegmentsAccepted;
        for (var length = 14 + 20 + 8; length < seen.Length; length++)
        {
            var cut = seen[..length];
            BinaryPrimitives.WriteUInt16BigEndian(cut.AsSpan(16), (ushort)(length - 14));
            BinaryPrimitives.WriteUInt16BigEndian(cut.AsSpan(38), (ushort)(length - 34));
            cut[24] = cut[25] = 0;
            InternetChecksum.Store(cut.AsSpan(24), InternetChecksum.Sum(cut.AsSpan(14, 20)));
            world.B.Deliver(cut, world.Now);
        }
        Assert.Equal(accepted, world.B.Tcp.Counters.SegmentsAccepted);
        Assert.Equal(seen.Length - 42, world.B.Tcp.Counters.DroppedAuthentication);
    }

    [Theory]
    // "Tx PSP" takes a reset in clear text, since the peer may not have the key yet; "PSP Full" does not.
    [InlineData(false, TcpState.Closed)]
    [InlineData(true, TcpState.Established)]
    public void AResetInClearTextEndsNothingOnceThePeerSeals(bool peerSeals, TcpState left)
    {
        using var world = Make();
        var (client, server) = Secure(world);
        if (peerSeals)
        {
            world.A.Tcp.Send(client, "x"u8, world.Now);
            world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).ReadableBytes == 1, Duration.FromSeconds(1), "the byte");
        }
        var b = world.B.Tcp.Context.Tcbs.Get(server.Index);
        var reset = new TcpSegment { Seq = b.C.Rcv.Nxt, Ack = b.C.Snd.Nxt, Flags = TcpFlags.Rst | TcpFlags.Ack };
        world.B.Deliver([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, .. RawTcp.Packet(world.A.Address, b.C.RemotePort, world.B.Address, b.C.LocalPort, reset, [])], world.Now);
        Assert.Equal(left, world.B.Tcp.GetStatus(server).State);
    }

    [Fact]
    public void AKeyIsOfOneConnectionOnly()
    {
        using var world = Make();
        var (client, server) = Secure(world);
        var (other, otherServer) = world.Open(81);
        Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(otherServer, out var key));
        Assert.Equal(2u, key.Spi);
        Assert.Equal(SocketError.IsConnected, world.B.Stack.Psp.AssociateReceive(server, out _));
        // The other connection seals with the first one's key, and is not heard.
        Assert.Equal(SocketError.Success, world.A.Stack.Psp!.AssociateReceive(other, out _));
        Assert.Equal(SocketError.Success, world.A.Stack.Psp.AssociateTransmit(other, KeyOf(1), world.Now));
        world.A.Tcp.Send(other, "not mine"u8, world.Now);
        Assert.False(world.RunUntil(() => world.B.Tcp.GetStatus(otherServer).ReadableBytes > 0, Duration.FromSeconds(5)));
        Assert.True(world.B.Tcp.Counters.DroppedAuthentication > 0);
        Assert.Equal(TcpState.Established, world.A.Tcp.GetStatus(client).State);

        PspKey KeyOf(uint spi) => _firstOfB.Spi == spi ? _firstOfB : default;
    }

    [Fact]
    public void KeysAreRefusedWhereThereIsNothingToSecure()
    {
        using var world = Make();
        Assert.Equal(SocketError.NotConnected, world.A.Stack.Psp!.AssociateReceive(default, out _));
        var (client, server) = world.Open();
        Assert.Equal(SocketError.InvalidArgument, world.A.Stack.Psp.AssociateTransmit(client, new PspKey(7, 7), world.Now));
        Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(server, out _));
        Assert.Equal(SocketError.InvalidArgument, world.B.Stack.Psp.AssociateTransmit(server, default, world.Now));
        world.A.Tcp.Send(client, "clear"u8, world.Now);
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).ReadableBytes == 5, Duration.FromSeconds(1), "the bytes");
        Assert.Equal(SocketError.TryAgain, world.B.Stack.Psp.AssociateTransmit(server, new PspKey(7, 7), world.Now));
        world.B.Tcp.Receive(server, new byte[5], world.Now);
        Assert.Equal(SocketError.Success, world.B.Stack.Psp.AssociateTransmit(server, new PspKey(7, 7), world.Now));
        Assert.Equal(SocketError.IsConnected, world.B.Stack.Psp.AssociateTransmit(server, new PspKey(8, 7), world.Now));
    }

    private PspKey _firstOfB;

    // The first sealed frame of a few bytes, which have come.
    private static byte[] SealedFrame(TwoHosts world, TcpHandle client, TcpHandle server)
    {
        byte[]? seen = null;
        world.AtoB.OnFrame = (_, frame) => seen ??= IsPsp(frame) ? frame.ToArray() : null;
        world.A.Tcp.Send(client, "a few bytes"u8, world.Now);
        world.AssertRunUntil(() => world.B.Tcp.GetStatus(server).ReadableBytes == 11, Duration.FromSeconds(1), "the bytes");
        return seen!;
    }

    private static TwoHosts Make(WireOptions? wire = null)
    {
        var world = new TwoHosts(5, wire);
        world.A.Stack.EnablePsp(0xA);
        world.B.Stack.EnablePsp(0xB);
        return world;
    }

    private (TcpHandle Client, TcpHandle Server) Secure(TwoHosts world)
    {
        var (client, server) = world.Open();
        Assert.Equal(SocketError.Success, world.A.Stack.Psp!.AssociateReceive(client, out var ofA));
        Assert.Equal(SocketError.Success, world.B.Stack.Psp!.AssociateReceive(server, out _firstOfB));
        Assert.NotEqual(ofA.Key, _firstOfB.Key);
        Assert.Equal(SocketError.Success, world.A.Stack.Psp.AssociateTransmit(client, _firstOfB, world.Now));
        Assert.Equal(SocketError.Success, world.B.Stack.Psp.AssociateTransmit(server, ofA, world.Now));
        return (client, server);
    }

    private static bool IsPsp(byte[] frame) => Transport(frame, IpProtocol.Udp) is { Length: > 0 } udp && BinaryPrimitives.ReadUInt16BigEndian(udp[2..]) == PspLayer.DefaultPort;

    private static (SeqNumber Seq, int PayloadLength)? ClearSegment(byte[] frame) =>
        Transport(frame, IpProtocol.Tcp) is { Length: > 0 } tcp && TcpPacket.TryParse(tcp, out var packet) && packet.ToSegment(out var s) ? (s.Seq, s.PayloadLength) : null;

    private static ReadOnlySpan<byte> Transport(byte[] frame, byte protocol)
    {
        var isV6 = frame[12] == 0x86 && frame[13] == 0xDD;
        if (!isV6 && (frame[12] != 8 || frame[13] != 0)) return default;
        return frame[isV6 ? 14 + 6 : 14 + 9] == protocol ? frame.AsSpan(14 + (isV6 ? 40 : 20)) : default;
    }
}
