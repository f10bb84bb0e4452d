// What an adversary forges has to get past the checksum, or no seed tries anything of it.
using Peregrine.Simulation.Adversaries;
using Peregrine.Wire;

namespace Peregrine.Simulation.Tests;

public sealed class PacketForgeTests
{
    [Theory]
    [InlineData("10.0.0.1", "10.0.0.2", 0)]
    [InlineData("10.0.0.1", "10.0.0.2", 7)]
    [InlineData("fd00::1", "fd00::2", 0)]
    [InlineData("fd00::1", "fd00::2", 1_000)]
    public void AForgedSegmentHasAGoodChecksum(string source, string destination, int payloadLength)
    {
        var (from, to) = (IpAddress.Parse(source), IpAddress.Parse(destination));
        var payload = Enumerable.Range(0, payloadLength).Select(static i => (byte)(i * 7)).ToArray();
        var segment = new TcpSegment { Seq = new SeqNumber(4_000_000_000), Ack = new SeqNumber(5), Flags = TcpFlags.Ack | TcpFlags.Psh, Window = new UnscaledWindow(1_000) };
        var frame = PacketForge.Tcp(new FrameBufferPool(), new MacAddress(0x0200_0000_0001), new MacAddress(0x0200_0000_0002), from, 50_000, to, 80, segment, payload);

        var tcp = frame.Span[(EthernetHeader.Length + (from.IsIPv4 ? 20 : 40))..];
        Assert.Equal(20 + payloadLength, tcp.Length);
        Assert.True(InternetChecksum.IsValid(InternetChecksum.Sum(tcp, InternetChecksum.PseudoHeader(from, to, IpProtocol.Tcp, tcp.Length))));
        Assert.True(tcp[20..].SequenceEqual(payload));
    }
}
