// What a sender does by packets: each mechanism is a setting of its own, some need a history, and a connection's are settled when it begins.
using System.Reflection;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tests.Tcp;

public sealed class SenderMechanismsTests
{
    private static readonly SenderMechanisms[] s_all =
        [.. Enum.GetValues<SenderMechanisms>().Where(static m => m is not (SenderMechanisms.None or SenderMechanisms.OfTcb or SenderMechanisms.OfHistory or SenderMechanisms.PacketReceiver))];

    // Those that cold places read from the settings.
    private static readonly string[] s_others = [nameof(TcpSettings.RepairsAsTimeout), nameof(TcpSettings.HastensDelayedAcks), nameof(TcpSettings.MtuSearchKeepsMss)];

    private static PropertyInfo Setting(string name) => typeof(TcpSettings).GetProperty(name)!;

    private static TcpSettings With(TcpSettings settings, string name, bool value)
    {
        var changed = settings with { };
        Setting(name).SetValue(changed, value);
        return changed;
    }

    private static TcpSettings None => s_all.Select(static m => m.ToString()).Concat(s_others).Aggregate(new TcpSettings { PacketSender = true }, static (s, name) => With(s, name, false));

    [Fact]
    public void EachMechanismIsASettingAndABitOfItsOwn()
    {
        Assert.Equal(SenderMechanisms.None, SenderMechanismsOf.Settings(None));
        foreach (var mechanism in s_all)
        {
            Assert.Equal(mechanism, SenderMechanismsOf.Settings(With(None, mechanism.ToString(), true)));
            Assert.Equal(SenderMechanisms.None, SenderMechanismsOf.Settings(With(None, mechanism.ToString(), true) with { PacketSender = false }));
        }
        Assert.Equal(s_all.Aggregate((a, b) => a | b), SenderMechanismsOf.Settings(new TcpSettings { PacketSender = true }));
        Assert.Equal(SenderMechanisms.None, SenderMechanisms.OfTcb & SenderMechanisms.OfHistory);
    }

    [Fact]
    public void BothProfilesSayEachOfThem()
    {
        foreach (var name in s_all.Select(static m => m.ToString()).Concat(s_others))
        {
            Assert.True((bool)Setting(name).GetValue(TcpProfile.Linux.Connection)!, name);
            Assert.False((bool)Setting(name).GetValue(TcpProfile.FreeBsd.Connection)!, name);
        }
        Assert.False(TcpProfile.FreeBsd.Connection.PacketSender);
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void WhatNeedsAHistoryAsksForRoomForOne()
    {
        foreach (var mechanism in s_all)
        {
            var options = new StackOptions { Tcp = With(None, mechanism.ToString(), true) };
            (options with { SenderHistoryCountMax = 1 }).Validate();
            if ((mechanism & SenderMechanisms.OfTcb) != 0)
            {
                options.Validate();
                continue;
            }
            var wrong = Assert.Throws<ArgumentOutOfRangeException>(options.Validate);
            Assert.Contains($"SenderHistoryCountMax is 0; it must be from 1 to 16777216 with PacketSender and any of {mechanism}", wrong.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void TheReceiversHalfIsOffUnlessSaidAndNeedsAHistoryByItself()
    {
        var settings = With(None, nameof(TcpSettings.PacketReceiver), true);
        Assert.Equal(SenderMechanisms.PacketReceiver, SenderMechanismsOf.Settings(settings));
        Assert.Equal(SenderMechanisms.None, SenderMechanismsOf.Settings(settings with { PacketSender = false }));
        Assert.Throws<ArgumentOutOfRangeException>(new StackOptions { Tcp = settings }.Validate);
        new StackOptions { Tcp = settings, SenderHistoryCountMax = 1 }.Validate();
    }

    [Fact]
    public void IndexAndMechanismsShareAWord()
    {
        var r = default(RecoveryState);
        r.Mechanisms = SenderMechanisms.HalfWindowMss | SenderMechanisms.ProbeTimerStays;
        r.Validation = 1u << 24;
        Assert.Equal((1u << 24, SenderHistory.None, false), (r.Validation, r.History, r.HasHistory));
        r.Validation = 0;
        r.History = 1u << 24;
        Assert.Equal((0u, 1u << 24, true), (r.Validation, r.History, r.HasHistory));
        Assert.True(r.Does(SenderMechanisms.HalfWindowMss) && r.Does(SenderMechanisms.ProbeTimerStays) && !r.Does(SenderMechanisms.PacketWindow));
        r.History = SenderHistory.None;
        Assert.Equal((SenderMechanisms.HalfWindowMss | SenderMechanisms.ProbeTimerStays, false), (r.Mechanisms, r.HasHistory));
    }
}
