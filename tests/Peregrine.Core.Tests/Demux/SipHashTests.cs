using Peregrine.Wire;

namespace Peregrine.Core.Tests.Demux;

public sealed class SipHashTests
{
    /// <summary>The key of the paper: bytes 0 to 15.</summary>
    private static readonly UInt128 PaperKey = new(0x0F0E_0D0C_0B0A_0908, 0x0706_0504_0302_0100);

    private static readonly UInt128 OtherKey = new(0xB920_BB9F_FE99_E9C1, 0xDC50_4FD3_68CD_90AF);

    [Theory]
    [InlineData(0, 0x726F_DB47_DD0E_0E31)]
    [InlineData(1, 0x74F8_39C5_93DC_67FD)]
    [InlineData(2, 0x0D6C_8009_D9A9_4F5A)]
    [InlineData(8, 0x93F5_F579_9A93_2462)]
    [InlineData(15, 0xA129_CA61_49BE_45E5)]
    [InlineData(63, 0x958A_324C_EB06_4572)]
    public void SipHash24GivesThePublishedVectors(int length, ulong expected) =>
        Assert.Equal(expected, SipHash.Hash24(PaperKey, Count(length)));

    // The values of another implementation (CPython's hash of bytes, whose key follows from its seed 42).
    [Theory]
    [InlineData(1, 0xCE88_0C36_6BCF_3489)]
    [InlineData(7, 0xCE28_0FAB_C397_FBDA)]
    [InlineData(8, 0x6086_6C3C_108C_6AFB)]
    [InlineData(9, 0x6881_4005_F746_9E03)]
    [InlineData(12, 0x550F_E6CA_26EF_7FDD)]
    [InlineData(16, 0x3391_76F3_AC59_CE05)]
    [InlineData(17, 0xED27_06B4_14C2_96F1)]
    [InlineData(36, 0x3251_68A6_B0DC_469F)]
    public void SipHash13AgreesWithAnotherImplementation(int length, ulong expected) =>
        Assert.Equal(expected, SipHash.Hash13(OtherKey, Count(length)));

    [Fact]
    public void SipHash13OfNothingIsThePublishedVector() => Assert.Equal(0xABAC_0158_050F_C4DCu, SipHash.Hash13(PaperKey, []));

    [Theory]
    [InlineData("10.1.2.3", "192.0.2.77", 12)]
    [InlineData("2001:db8::1", "2001:db8:1:2:3:4:5:6", 36)]
    [InlineData("::", "10.0.0.1", 36)]
    [InlineData("10.0.0.1", "::", 36)]
    public void TupleFormsHashTheStatedBytes(string local, string remote, int length)
    {
        IpAddress a = IpAddress.Parse(local), b = IpAddress.Parse(remote);
        var bytes = new byte[SipHash.TupleBytesMax];
        Assert.Equal(length, SipHash.WriteTuple(bytes, a, 443, b, 50_001));
        Assert.Equal(SipHash.Hash13(OtherKey, bytes.AsSpan(0, length)), SipHash.Hash13(OtherKey, a, 443, b, 50_001));
        Assert.Equal(SipHash.Hash24(OtherKey, bytes.AsSpan(0, length)), SipHash.Hash24(OtherKey, a, 443, b, 50_001));
        byte[] longer = [.. BitConverter.GetBytes(0x0102_0304_0506_0708UL), .. BitConverter.GetBytes(99UL), .. bytes.AsSpan(0, length)];
        Assert.Equal(SipHash.Hash24(OtherKey, longer), SipHash.Hash24(OtherKey, 0x0102_0304_0506_0708, 99, a, 443, b, 50_001));
    }

    [Fact]
    public void EveryPartOfATupleCounts()
    {
        IpAddress a = IpAddress.Parse("10.0.0.1"), b = IpAddress.Parse("10.0.0.2");
        ulong[] hashes =
        [
            SipHash.Hash13(OtherKey, a, 1, b, 2), SipHash.Hash13(OtherKey, b, 1, a, 2), SipHash.Hash13(OtherKey, a, 2, b, 1),
            SipHash.Hash13(OtherKey, a, 1, b, 3), SipHash.Hash13(OtherKey, a, 3, b, 2), SipHash.Hash13(OtherKey, a, 1, a, 2),
            SipHash.Hash13(PaperKey, a, 1, b, 2),
        ];
        Assert.Equal(hashes.Length, hashes.Distinct().Count());
    }

    private static byte[] Count(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)i)];
}
