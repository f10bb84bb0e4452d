// A SYN's options in FreeBSD's order, byte by byte, and that they read back as what was written.
namespace Peregrine.Wire.Tests;

public sealed class PackedTcpOptionsTests
{
    [Theory]
    [InlineData(true, true, true, "020405b4010303060402080a0000000700000009")]
    [InlineData(true, true, false, "020405b40103030604020000")]
    [InlineData(true, false, true, "020405b4010303060101080a0000000700000009")]
    [InlineData(false, true, false, "020405b404020000")]
    [InlineData(false, false, false, "020405b4")]
    [InlineData(false, true, true, "020405b40402080a0000000700000009")]
    public void OptionsAreInOrderAndCloseTogether(bool scale, bool sack, bool stamps, string expected)
    {
        var options = Make(scale, sack, stamps);
        var bytes = new byte[options.EncodedLength];
        Assert.Equal(bytes.Length, options.WriteTo(bytes));
        Assert.Equal(expected, Convert.ToHexStringLower(bytes));
        Assert.True(TcpOptions.Parse(bytes, isSyn: true, out var read));
        options.IsPacked = false;
        Assert.Equal(options, read);
    }

    [Theory]
    [InlineData(true, true, true, "020405b4010303060402080a000000070000000901011312")]
    [InlineData(true, true, false, "020405b40103030604021312")]
    [InlineData(false, true, false, "020405b404021312")]
    [InlineData(false, false, false, "020405b401011312")]
    public void ASignatureIsLast(bool scale, bool sack, bool stamps, string expected)
    {
        var options = Make(scale, sack, stamps);
        options.SetMd5();
        Assert.True(options.IsSignedLast);
        var bytes = new byte[options.EncodedLength];
        Assert.Equal(bytes.Length, options.WriteTo(bytes));
        Assert.Equal(expected + new string('0', 32), Convert.ToHexStringLower(bytes));
        Assert.True(TcpOptions.Parse(bytes, isSyn: true, out var read));
        Assert.Equal((bytes.Length - 18, 18), (read.AuthenticationOffset, read.AuthenticationLength));
    }

    private static TcpOptions Make(bool scale, bool sack, bool stamps)
    {
        var options = new TcpOptions { Mss = 1460, IsPacked = true };
        if (scale) options.WindowScale = new WindowScale(6);
        if (sack) options.SackPermitted = true;
        if (stamps) options.SetTimestamps(7, 9);
        return options;
    }
}
