namespace Peregrine.Wire.Tests;

public class SeqNumberTests
{
    [Theory]
    [InlineData(0u, 1u, -1)]
    [InlineData(1u, 0u, 1)]
    [InlineData(0u, 0u, 0)]
    [InlineData(uint.MaxValue, 0u, -1)]
    [InlineData(0u, uint.MaxValue, 1)]
    [InlineData(0x7FFF_FFFFu, 0x8000_0000u, -1)]
    [InlineData(0x8000_0000u, 0x7FFF_FFFFu, 1)]
    [InlineData(0u, 0x7FFF_FFFFu, -0x7FFF_FFFF)]
    [InlineData(0xFFFF_FF00u, 0x0000_0100u, -0x200)]
    [InlineData(0x4000_0000u, 0xC000_0001u, 0x7FFF_FFFF)]
    public void OrderFollowsTheShorterWayRound(uint left, uint right, int distance)
    {
        SeqNumber a = new(left), b = new(right);
        Assert.Equal(distance, a - b);
        Assert.Equal(distance < 0, a.IsBefore(b));
        Assert.Equal(distance > 0, a.IsAfter(b));
        Assert.Equal(distance <= 0, a.IsBeforeOrEqual(b));
        Assert.Equal(distance >= 0, a.IsAfterOrEqual(b));
        Assert.Equal(distance == 0, a == b);
        Assert.Equal(distance != 0, a != b);
        Assert.Equal(distance > 0 ? a : b, SeqNumber.Max(a, b));
        Assert.Equal(distance > 0 ? b : a, SeqNumber.Min(a, b));
    }

    [Fact]
    public void OppositePointsAreEachBeforeTheOther()
    {
        SeqNumber a = new(5), b = a + 0x8000_0000;
        Assert.True(a.IsBefore(b) && b.IsBefore(a));
        Assert.True(a.IsAfter(b) && b.IsAfter(a));
    }

    [Theory]
    [InlineData(10u, 10u, 0u, false)]
    [InlineData(10u, 10u, 1u, true)]
    [InlineData(11u, 10u, 1u, false)]
    [InlineData(9u, 10u, 100u, false)]
    [InlineData(0u, 0xFFFF_FFFFu, 2u, true)]
    [InlineData(1u, 0xFFFF_FFFFu, 2u, false)]
    [InlineData(0xFFFF_FFFFu, 0xFFFF_FFFFu, 1u, true)]
    [InlineData(0x3FFF_FFFFu, 0u, 0x4000_0000u, true)]
    [InlineData(0x4000_0000u, 0u, 0x4000_0000u, false)]
    public void WindowHoldsItsFirstAndNotTheOneAfterItsLast(uint value, uint start, uint length, bool expected) =>
        Assert.Equal(expected, new SeqNumber(value).IsInWindow(new SeqNumber(start), length));

    [Fact]
    public void SumsWrap()
    {
        Assert.Equal(new SeqNumber(4), new SeqNumber(0xFFFF_FFFE) + 6);
        Assert.Equal(new SeqNumber(0xFFFF_FFFE), new SeqNumber(4) - 6);
        Assert.Equal("4294967295", new SeqNumber(uint.MaxValue).ToString());
        Assert.True(new SeqNumber(3).Equals((object)new SeqNumber(3)));
    }

    [Fact]
    public void WindowsMeetOnlyThroughTheScale()
    {
        Assert.Equal(65535u << 14, (new UnscaledWindow(65535) << new WindowScale(14)).Bytes);
        Assert.Equal(1000, (new WindowSize(128_127) >> new WindowScale(7)).Value);
        Assert.Equal(65535, (new WindowSize(uint.MaxValue) >> new WindowScale(0)).Value);
        Assert.Equal(65535, (new WindowSize(65535u << 14) >> new WindowScale(14)).Value);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(14, 14)]
    [InlineData(15, 14)]
    [InlineData(255, 14)]
    [InlineData(-1, 0)]
    public void WindowScaleCannotExceedFourteen(int given, int kept) => Assert.Equal(kept, new WindowScale(given).Shift);
}
