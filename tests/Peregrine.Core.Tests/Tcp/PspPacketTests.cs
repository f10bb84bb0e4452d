// The header of PSP: what is understood of it.
using Peregrine.Core.Tcp.Psp;

namespace Peregrine.Core.Tests.Tcp;

public sealed class PspPacketTests
{
    [Theory]
    [InlineData(0, 0, true)]
    [InlineData(0x80, 0, true)]
    [InlineData(0x40, 0, true)]
    [InlineData(1, 0, false)]
    [InlineData(0x20, 0, false)]
    [InlineData(0, 0x80, true)]
    [InlineData(0, 0x40, true)]
    [InlineData(0, 0x04, false)]
    [InlineData(0, 0x02, false)]
    [InlineData(0, 0x01, false)]
    public void ReservedBitsAndThoseForDevicesDoNotMatterAndOffsetsVersionsAndCookiesDo(byte third, byte fourth, bool isUnderstood)
    {
        Span<byte> header = stackalloc byte[PspPacket.HeaderLength];
        PspPacket.WriteHeader(header, spi: 7, iv: 9);
        header[2] ^= third;
        header[3] ^= fourth;
        Assert.Equal(isUnderstood, PspPacket.TryReadHeader(header, out var spi));
        Assert.Equal(7u, spi);
    }
}
