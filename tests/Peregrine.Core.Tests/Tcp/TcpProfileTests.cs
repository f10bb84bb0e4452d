// Profiles are data that say everything they mean, and Linux's is what a stack does that is told nothing.
using System.Reflection;
using Peregrine.Core.Tcp;

namespace Peregrine.Core.Tests.Tcp;

public sealed class TcpProfileTests
{
    [Fact]
    public void AStackThatIsToldNothingBehavesAsLinuxDoes()
    {
        Assert.Equal(new StackOptions(), TcpProfile.Linux.Apply(new StackOptions()));
        Assert.Equal(TcpSettings.Default, TcpProfile.Linux.Connection);
    }

    [Fact]
    public void AProfileSetsEveryNumberThatItHas()
    {
        var other = TcpProfile.FreeBsd.Apply(new StackOptions());
        foreach (var number in typeof(TcpProfile).GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            if (number.Name is nameof(TcpProfile.Name)) continue;
            var of = number.Name is nameof(TcpProfile.Connection) ? nameof(StackOptions.Tcp) : number.Name;
            Assert.Equal(number.GetValue(TcpProfile.FreeBsd), typeof(StackOptions).GetProperty(of)!.GetValue(other));
        }
        Assert.Equal(new StackOptions(), TcpProfile.Linux.Apply(other));
    }

    [Fact]
    public void BothAreWithinTheRanges()
    {
        TcpProfile.Linux.Apply(new StackOptions()).Validate();
        var freeBsd = TcpProfile.FreeBsd.Apply(new StackOptions());
        freeBsd.Validate();
        Assert.Equal((30, 200, 0), (freeBsd.RtoMsMin, freeBsd.RtoSlackMs, freeBsd.RtoVarianceMsMin));
        Assert.Equal((2, false), (freeBsd.Tcp.SlowStartSegmentsPerAck, freeBsd.Tcp.ReducesFromWindow));
        Assert.Equal(TcpProfile.FreeBsd, TcpProfile.Find("FreeBSD"));
        Assert.Null(TcpProfile.Find("windows"));
    }
}
