// Paths that do to ECN what no router may: they clear the field, drop what asks for it, or write into TCP's bits. Every transfer must arrive, and
// what can be noticed must be.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests;

public sealed class EcnPathTests
{
    private const int EthernetLength = 14, IPv4Length = 20, BytesSent = 400_000;
    private const byte Ce = 3;
    private const TcpFlags AllBits = TcpFlags.Ae | TcpFlags.Cwr | TcpFlags.Ece;

    [Theory]
    [InlineData(TcpEcnMode.On, "cubic")]
    [InlineData(TcpEcnMode.Accurate, "cubic")]
    [InlineData(TcpEcnMode.Accurate, "bbr")]
    [InlineData(TcpEcnMode.Accept, "dctcp")]
    public void APathThatBleachesTheFieldCarriesEverything(TcpEcnMode mode, string control)
    {
        using var world = new TwoHosts();
        foreach (var wire in (VirtualWire[])[world.AtoB, world.BtoA]) wire.OnFrame = static (_, frame) => SetField(frame, 0);
        var info = Carry(world, mode, control);
        Assert.True(info.Ecn);
        Assert.Equal(0, world.B.Tcp.ExtCounters.InCEPkts);
    }

    [Fact]
    // RFC 9768 §3.2.2.3: DCTCP's SYN is ECN-capable, and the SYN-ACK tells that it did not arrive so: nothing else is sent so.
    public void WhereTheHandshakeShowsItNothingMoreIsEcnCapable()
    {
        using var world = new TwoHosts();
        var capable = 0;
        world.AtoB.OnFrame = (_, frame) =>
        {
            if (IsTcp(frame) && (frame[EthernetLength + 1] & 3) != 0 && (FlagsOf(frame) & TcpFlags.Syn) == 0) capable++;
            SetField(frame, 0);
        };
        var info = Carry(world, TcpEcnMode.Accurate, "dctcp");
        Assert.Equal((true, 0), (info.AccurateEcn, capable));
        Assert.Equal(TcpAccurateEcnFailures.NotCapable, info.AccurateEcnCounters!.Value.Failures & TcpAccurateEcnFailures.NotCapable);
    }

    [Theory]
    // RFC 3168 §6.1.1.1, RFC 9768 §3.1.4.1: the SYN goes again without asking, in the accurate form from the third time on.
    [InlineData(TcpEcnMode.On, 1)]
    [InlineData(TcpEcnMode.Accurate, 2)]
    public void APathThatDropsSynsThatAskGetsOneThatDoesNot(TcpEcnMode mode, int dropped)
    {
        using var world = new TwoHosts();
        world.AtoB.DropWhen = static (_, frame) => (FlagsOf(frame) & TcpFlags.Syn) != 0 && (FlagsOf(frame) & AllBits) != 0;
        var info = Carry(world, mode, "cubic");
        Assert.False(info.Ecn);
        Assert.Equal(dropped, world.AtoB.Lost);
    }

    [Fact]
    // RFC 9768 §3.2.3.2.2: so do SYN-ACKs that grant it.
    public void APathThatDropsSynAcksThatGrantGetsOneThatDoesNot()
    {
        using var world = new TwoHosts();
        world.BtoA.DropWhen = static (_, frame) => (FlagsOf(frame) & TcpFlags.Syn) != 0 && (FlagsOf(frame) & AllBits) != 0;
        Assert.False(Carry(world, TcpEcnMode.Accurate, "cubic").Ecn);
        // Each SYN that comes again gets another.
        Assert.InRange(world.BtoA.Lost, 2, 6);
    }

    [Theory]
    [InlineData(TcpEcnMode.On)]
    [InlineData(TcpEcnMode.Accurate)]
    public void WhereTheBitsAreClearedNobodyAgreesOnAnything(TcpEcnMode mode)
    {
        using var world = new TwoHosts();
        world.AtoB.OnFrame = static (_, frame) => ClearBits(frame);
        Assert.False(Carry(world, mode, "cubic").Ecn);
    }

    [Fact]
    // RFC 9768 §3.2.2.4: the bits are cleared after the handshake: the first feedback of a counter that begins at 5 is zero.
    public void WhereTheCountIsClearedItIsNotRead()
    {
        using var world = new TwoHosts();
        world.BtoA.OnFrame = static (_, frame) =>
        {
            if ((FlagsOf(frame) & TcpFlags.Syn) == 0) ClearBits(frame);
        };
        var info = Carry(world, TcpEcnMode.Accurate, "cubic");
        Assert.True(info.AccurateEcn);
        Assert.Equal(TcpAccurateEcnFailures.NotCapable | TcpAccurateEcnFailures.FeedbackIgnored, info.AccurateEcnCounters!.Value.Failures);
    }

    [Theory]
    // RFC 3168 §6.1.2: the window shrinks to what goes on however much is marked.
    [InlineData(TcpEcnMode.On, "cubic")]
    [InlineData(TcpEcnMode.On, "reno")]
    [InlineData(TcpEcnMode.Accurate, "cubic")]
    [InlineData(TcpEcnMode.Accurate, "dctcp")]
    [InlineData(TcpEcnMode.Accurate, "bbr")]
    public void APathThatMarksEverythingIsSlowAndNoMore(TcpEcnMode mode, string control)
    {
        using var world = new TwoHosts();
        world.AtoB.OnFrame = static (_, frame) =>
        {
            if ((frame[EthernetLength + 1] & 3) != 0) SetField(frame, Ce);
        };
        var info = Carry(world, mode, control);
        Assert.True(info.Ecn);
        Assert.True(world.B.Tcp.ExtCounters.InCEPkts > 0);
        Assert.True(world.A.Tcp.ExtCounters.TCPDeliveredCE > 0);
        Assert.Equal(0, world.A.Tcp.Counters.RetransmissionTimeouts);
    }

    [Theory]
    // RFC 3168 §6.1.5: what is sent again is not ECN-capable: all of it arrives at the second attempt.
    [InlineData(TcpEcnMode.On, "cubic")]
    [InlineData(TcpEcnMode.Accurate, "cubic")]
    [InlineData(TcpEcnMode.On, "reno")]
    public void APathThatDropsWhatIsCapableIsSlowAndNoMore(TcpEcnMode mode, string control)
    {
        using var world = new TwoHosts();
        world.AtoB.DropWhen = static (_, frame) => IsTcp(frame) && (frame[EthernetLength + 1] & 3) != 0;
        Assert.True(Carry(world, mode, control).Ecn);
        Assert.True(world.A.Tcp.Counters.SegmentsRetransmitted >= BytesSent / 1_460);
    }

    // What is known of the client's connection when everything has come.
    private static TcpInfo Carry(TwoHosts world, TcpEcnMode mode, string control)
    {
        var settings = TcpSettings.Default with { Ecn = mode, CongestionControl = control };
        var (client, server) = world.Open(client: settings, server: settings with { Ecn = mode == TcpEcnMode.On ? TcpEcnMode.Accept : mode });
        var transfer = new Transfer(world.A, client, world.B, server, BytesSent);
        world.OnTurn = () => transfer.Turn(world.Now);
        world.AssertRunUntil(() => transfer.IsDone, Duration.FromSeconds(120), "the transfer");
        Assert.True(world.A.Tcp.TryGetInfo(client, world.Now, out var info));
        world.AtoB.OnFrame = world.BtoA.OnFrame = null;
        world.CloseAndAssertNothingLeaked((world.A, client), (world.B, server));
        return info;
    }

    private static bool IsTcp(byte[] frame) => frame[12] == 8 && frame[13] == 0 && frame[EthernetLength + 9] == IpProtocol.Tcp;

    private static TcpFlags FlagsOf(byte[] frame) =>
        IsTcp(frame) ? (TcpFlags)(((frame[EthernetLength + IPv4Length + 12] & 1) << 8) | frame[EthernetLength + IPv4Length + 13]) : TcpFlags.None;

    private static void SetField(byte[] frame, byte field)
    {
        if (!IsTcp(frame)) return;
        var header = frame.AsSpan(EthernetLength, IPv4Length);
        header[1] = (byte)((header[1] & ~3) | field);
        header[10] = header[11] = 0;
        InternetChecksum.Store(header[10..], InternetChecksum.Sum(header));
    }

    private static void ClearBits(byte[] frame)
    {
        if (!IsTcp(frame)) return;
        frame[EthernetLength + IPv4Length + 12] &= 0xFE;
        frame[EthernetLength + IPv4Length + 13] &= 0x3F;
        var packet = frame[EthernetLength..(EthernetLength + ((frame[EthernetLength + 2] << 8) | frame[EthernetLength + 3]))];
        RawTcp.FixChecksum(packet);
        packet.CopyTo(frame, EthernetLength);
    }
}
