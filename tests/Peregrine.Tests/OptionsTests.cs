// The options record: defaults that hold, messages that name setting, value and range, and binding from configuration.
using System.Globalization;
using System.Reflection;
using Microsoft.Extensions.Configuration;
using Peregrine.Sockets;

namespace Peregrine.Tests;

public sealed class OptionsTests
{
    public static TheoryData<PeregrineOptions, string, string> Wrong => new()
    {
        { new PeregrineOptions { SpinUs = -1 }, "SpinUs", "-1" },
        { new PeregrineOptions { MailboxCount = 100 }, "MailboxCount", "100" },
        { new PeregrineOptions { Cpu = 5_000 }, "Cpu", "5000" },
        { new PeregrineOptions { MtuBytes = 10 }, "MtuBytes", "10" },
        { new PeregrineOptions { Addresses = ["10.0.0"] }, "Addresses", "10.0.0" },
        { new PeregrineOptions { Gateways = ["gate"] }, "Gateways", "gate" },
        { new PeregrineOptions { Name = "a/b" }, "Name", "a/b" },
        { new PeregrineOptions { ControlSocket = " " }, "ControlSocket", "empty" },
        { new PeregrineOptions { Stack = new Core.StackOptions { FrameCount = 1 } }, "FrameCount", "1" },
    };

    [Fact]
    public void DefaultsAreValid()
    {
        var options = new PeregrineOptions();
        options.Validate();
        Assert.Equal(CompletionMode.Inline, options.CompletionMode);
        // A network that is told nothing behaves as Linux does.
        Assert.Equal(Core.Tcp.TcpProfile.Linux.Apply(options.Stack), options.Stack);
    }

    [Theory]
    [MemberData(nameof(Wrong))]
    public void MessageNamesSettingAndValue(PeregrineOptions options, string setting, string value)
    {
        var e = Assert.ThrowsAny<ArgumentException>(options.Validate);
        Assert.Contains(setting, e.Message, StringComparison.Ordinal);
        Assert.Contains(value, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ConfigurationIsBound()
    {
        var options = PeregrineConfiguration.Bind(Section(new()
        {
            ["P:Name"] = "edge",
            ["P:Addresses:0"] = "192.0.2.2/24",
            ["P:Gateways"] = "192.0.2.1, fe80::1",
            ["P:Idle"] = "block",
            ["P:Hosts:db"] = "192.0.2.9",
            ["P:Stack:ConnectionCountMax"] = "1000",
            ["P:Stack:Tcp:NoDelay"] = "true",
        }));
        Assert.Equal(("edge", IdleMode.Block, 1000, true), (options.Name, options.Idle, options.Stack.ConnectionCountMax, options.Stack.Tcp.NoDelay));
        Assert.Equal(["192.0.2.2/24"], options.Addresses);
        Assert.Equal(["192.0.2.1", "fe80::1"], options.Gateways);
        Assert.Equal(["192.0.2.9"], options.Hosts["db"]);
    }

    [Theory]
    [InlineData("P:Nmae", "x", "P:Nmae is no setting")]
    [InlineData("P:SpinUs", "fast", "P:SpinUs is \"fast\"; it must be a whole number")]
    [InlineData("P:Idle", "never", "P:Idle is \"never\"; it must be one of")]
    [InlineData("P:Stack:Tcp:NoDelay", "on", "true or false")]
    public void WrongConfigurationIsNamed(string key, string value, string message)
    {
        var e = Assert.Throws<ArgumentException>(() => PeregrineConfiguration.Bind(Section(new() { [key] = value })));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    public static TheoryData<Type, string> Records => new()
    {
        { typeof(Core.StackOptions), "P:Stack" },
        { typeof(Core.Tcp.TcpSettings), "P:Stack:Tcp" },
        { typeof(Core.Ip.IpOptions), "P:Stack:Ip" },
        { typeof(Core.Udp.UdpOptions), "P:Stack:Udp" },
    };

    [Theory]
    [MemberData(nameof(Records))]
    public void EverySettingOfAStackHasItsKey(Type record, string path)
    {
        foreach (var setting in record.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(static p => p.SetMethod is not null))
        {
            if (setting.PropertyType.IsClass && setting.PropertyType != typeof(string)) continue;
            var usual = setting.GetValue(Of(new PeregrineOptions(), record));
            // A value near the usual one is in range; where it is not, the message says which is.
            foreach (var value in Others(usual!))
            {
                var bound = Bind($"{path}:{setting.Name}", value, out var error);
                if (bound is not null) Assert.Equal((setting.Name, value), (setting.Name, Convert.ToString(setting.GetValue(Of(bound, record)), CultureInfo.InvariantCulture)!));
                else Assert.Contains(setting.Name, error, StringComparison.Ordinal);
                Assert.DoesNotContain("is no setting", error, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData("P:Stack:Tcp:DelayedAckMs", "500", "DelayedAckMs is 500; it must be from 0 to 499")]
    [InlineData("P:Stack:RtoMsMax", "1", "RtoMsMax is 1; it must be from 60000 to 240000")]
    [InlineData("P:Stack:Profile", "windows", "P:Stack:Profile is \"windows\"; it must be linux or freebsd")]
    [InlineData("P:Stack:EphemeralPortMin", "70000", "P:Stack:EphemeralPortMin is \"70000\"; it must be a whole number from 0 to 65535")]
    [InlineData("P:Stack:Tcp:Ecn", "maybe", "it must be one of Off, On, Accept")]
    [InlineData("P:Stack:Tcp:CongestionControl", "vegas", "CongestionControl must be one of: cubic, reno, dctcp, bbr")]
    public void AValueOutOfRangeIsNamedWithItsRange(string key, string value, string message)
    {
        Assert.Null(Bind(key, value, out var error));
        Assert.Contains(message, error, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatIsSaidBesideAProfileHolds()
    {
        var stack = PeregrineConfiguration.Bind(Section(new()
        {
            ["P:Stack:ChallengeAckIntervalMs"] = "77", ["P:Stack:Profile"] = "freebsd", ["P:Stack:Tcp:QuickAckCount"] = "3",
        })).Stack;
        Assert.Equal((77, 30, 3, true), (stack.ChallengeAckIntervalMs, stack.RtoMsMin, stack.Tcp.QuickAckCount, stack.Tcp.WindowIsBuffer));
    }

    private static object Of(PeregrineOptions options, Type record) =>
        record == typeof(Core.StackOptions) ? options.Stack
        : record == typeof(Core.Tcp.TcpSettings) ? options.Stack.Tcp
        : record == typeof(Core.Ip.IpOptions) ? options.Stack.Ip : options.Stack.Udp;

    private static IEnumerable<string> Others(object usual) => usual switch
    {
        bool flag => [(!flag).ToString()],
        Enum choice => Enum.GetNames(choice.GetType()),
        string => ["reno", "bbr"],
        _ => [(Convert.ToInt64(usual, CultureInfo.InvariantCulture) + 1).ToString(CultureInfo.InvariantCulture), "1000"],
    };

    private static PeregrineOptions? Bind(string key, string value, out string error)
    {
        error = "";
        try
        {
            return PeregrineConfiguration.Bind(Section(new() { [key] = value }));
        }
        catch (ArgumentException e)
        {
            error = e.Message;
            return null;
        }
    }

    private static IConfigurationSection Section(Dictionary<string, string?> values) =>
        new ConfigurationBuilder().AddInMemoryCollection(values).Build().GetSection("P");
}
