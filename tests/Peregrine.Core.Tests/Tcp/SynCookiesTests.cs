using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp;

public sealed class SynCookiesTests
{
    private static readonly SynCookies Cookies = new(StackSecrets.FromSeed(6));

    [Theory]
    [InlineData("10.0.0.1", "10.9.9.9", 1460, 1460)]
    [InlineData("10.0.0.1", "10.9.9.9", 1459, 1440)]
    [InlineData("10.0.0.1", "10.9.9.9", 65_535, 8960)]
    [InlineData("10.0.0.1", "10.9.9.9", 536, 536)]
    [InlineData("10.0.0.1", "10.9.9.9", 535, 216)]
    [InlineData("10.0.0.1", "10.9.9.9", 0, 216)]
    [InlineData("2001:db8::1", "2001:db8::2", 1440, 1440)]
    [InlineData("2001:db8::1", "2001:db8::2", 1220, 1220)]
    [InlineData("2001:db8::1", "2001:db8::2", 9000, 8940)]
    public void SegmentSizeSurvivesRoundedDown(string local, string remote, int mss, int expected)
    {
        var cookie = Encode(Cookies, local, remote, (ushort)mss, At(1_000));
        Assert.True(Decode(Cookies, local, remote, cookie, At(1_000), out var decoded));
        Assert.Equal(expected, decoded);
    }

    [Fact]
    public void CookieIsGoodInItsSlotAndTheNext()
    {
        for (var second = 0; second < 200; second += 7)
        {
            var cookie = Encode(Cookies, "10.0.0.1", "10.0.0.2", 1460, At(second));
            var end = ((second / 64) + 2) * 64;
            Assert.True(Decode(Cookies, "10.0.0.1", "10.0.0.2", cookie, At(second), out _));
            Assert.True(Decode(Cookies, "10.0.0.1", "10.0.0.2", cookie, At(end) - new Duration(1), out _));
            Assert.False(Decode(Cookies, "10.0.0.1", "10.0.0.2", cookie, At(end), out _));
            Assert.False(Decode(Cookies, "10.0.0.1", "10.0.0.2", cookie, At(end + 64), out _));
        }
    }

    [Fact]
    public void NothingElseIsTakenForACookie()
    {
        IpAddress a = IpAddress.Parse("10.0.0.1"), b = IpAddress.Parse("10.0.0.2");
        SeqNumber irs = new(99);
        var cookie = Cookies.Encode(a, 80, b, 5_000, irs, 1460, false, At(500));
        Assert.True(Cookies.TryDecode(a, 80, b, 5_000, irs, cookie, At(500), out _, out _));
        Assert.False(Cookies.TryDecode(a, 81, b, 5_000, irs, cookie, At(500), out _, out _));
        Assert.False(Cookies.TryDecode(a, 80, b, 5_001, irs, cookie, At(500), out _, out _));
        Assert.False(Cookies.TryDecode(b, 80, a, 5_000, irs, cookie, At(500), out _, out _));
        Assert.False(Cookies.TryDecode(a, 80, b, 5_000, irs + 1, cookie, At(500), out var mss, out _));
        Assert.Equal(0, mss);
        Assert.False(new SynCookies(StackSecrets.FromSeed(7)).TryDecode(a, 80, b, 5_000, irs, cookie, At(500), out _, out _));
        for (var bit = 0; bit < 32; bit++)
            Assert.False(Cookies.TryDecode(a, 80, b, 5_000, irs, new SeqNumber(cookie.Value ^ (1u << bit)), At(500), out _, out _));
        var random = new StackRandom(1);
        for (var i = 0; i < 200_000; i++) Assert.False(Cookies.TryDecode(a, 80, b, 5_000, irs, new SeqNumber(random.NextUInt32()), At(500), out _, out _));
    }

    [Fact]
    public void TimestampCarriesOptionsAndIsNotAheadOfTheClock()
    {
        foreach (var offset in new uint[] { 0, 12_345, uint.MaxValue })
        {
            for (uint clock = 1_000; clock < 1_130; clock++)
            {
                for (var scale = -1; scale <= 14; scale++)
                {
                    var options = new CookieOptions(scale >= 0, (byte)Math.Max(scale, 0), (clock & 1) != 0, (clock & 2) != 0);
                    var stamp = SynCookies.EncodeTimestamp(clock, offset, options);
                    Assert.Equal(options, SynCookies.DecodeTimestamp(stamp, offset));
                    Assert.InRange((int)(clock - (stamp - offset)), 0, 63);
                }
            }
        }
    }

    private static Instant At(long seconds) => new(seconds * 1_000_000_000);

    private static SeqNumber Encode(in SynCookies cookies, string local, string remote, ushort mss, Instant now) =>
        cookies.Encode(IpAddress.Parse(local), 80, IpAddress.Parse(remote), 50_000, new SeqNumber(77), mss, true, now);

    private static bool Decode(in SynCookies cookies, string local, string remote, SeqNumber cookie, Instant now, out ushort mss) =>
        cookies.TryDecode(IpAddress.Parse(local), 80, IpAddress.Parse(remote), 50_000, new SeqNumber(77), cookie, now, out mss, out var sack) && sack;
}
