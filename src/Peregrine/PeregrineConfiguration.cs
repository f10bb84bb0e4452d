// From .NET configuration to the options record, by hand: no reflection, so it trims, and a misspelled key is an error that names it
// instead of a setting that silently does nothing.
using Microsoft.Extensions.Configuration;
using Peregrine.Sockets;
using static Peregrine.ConfigurationValues;

namespace Peregrine;

/// <summary>Reads <see cref="PeregrineOptions"/> from configuration.</summary>
public static class PeregrineConfiguration
{
    private static readonly Dictionary<string, Func<PeregrineOptions, IConfigurationSection, PeregrineOptions>> s_settings = new(StringComparer.OrdinalIgnoreCase)
    {
        ["Name"] = static (o, s) => o with { Name = Text(s) },
        ["Addresses"] = static (o, s) => o with { Addresses = Texts(s) },
        ["Gateways"] = static (o, s) => o with { Gateways = Texts(s) },
        ["MtuBytes"] = static (o, s) => o with { MtuBytes = Number<int>(s) },
        ["Autoconfigure"] = static (o, s) => o with { Autoconfigure = Flag(s) },
        ["Cpu"] = static (o, s) => o with { Cpu = Number<int>(s) },
        ["Idle"] = static (o, s) => o with { Idle = Choice<IdleMode>(s) },
        ["SpinUs"] = static (o, s) => o with { SpinUs = Number<int>(s) },
        ["CompletionMode"] = static (o, s) => o with { CompletionMode = Choice<CompletionMode>(s) },
        ["UseSynchronizationContext"] = static (o, s) => o with { UseSynchronizationContext = Flag(s) },
        ["HugePages"] = static (o, s) => o with { HugePages = Flag(s) },
        ["FramesPerTurnMax"] = static (o, s) => o with { FramesPerTurnMax = Number<int>(s) },
        ["CommandsPerTurnMax"] = static (o, s) => o with { CommandsPerTurnMax = Number<int>(s) },
        ["EventsPerTurnMax"] = static (o, s) => o with { EventsPerTurnMax = Number<int>(s) },
        ["MailboxCount"] = static (o, s) => o with { MailboxCount = Number<int>(s) },
        ["StopGraceMs"] = static (o, s) => o with { StopGraceMs = Number<int>(s) },
        ["CallbackLimitMs"] = static (o, s) => o with { CallbackLimitMs = Number<int>(s) },
        ["LinkCheckMs"] = static (o, s) => o with { LinkCheckMs = Number<int>(s) },
        ["ProfileEveryTurns"] = static (o, s) => o with { ProfileEveryTurns = Number<int>(s) },
        ["QlogDirectory"] = static (o, s) => o with { QlogDirectory = Text(s) },
        ["QlogBytesMax"] = static (o, s) => o with { QlogBytesMax = Number<int>(s) },
        ["QlogFileCountMax"] = static (o, s) => o with { QlogFileCountMax = Number<int>(s) },
        ["ControlSocket"] = static (o, s) => o with { ControlSocket = Text(s) },
        ["Hosts"] = static (o, s) => o with { Hosts = s.GetChildren().ToDictionary(static h => h.Key, static h => Texts(h), StringComparer.OrdinalIgnoreCase) },
        ["UseSystemResolver"] = static (o, s) => o with { UseSystemResolver = Flag(s) },
        ["Stack"] = static (o, s) => o with { Stack = StackConfiguration.Bind(s, o.Stack) },
    };

    /// <summary>Gives the options with what the section says changed, and validated.</summary>
    /// <param name="section">The section whose keys are settings: usually "Peregrine".</param>
    /// <param name="options">What to start from; null for the defaults.</param>
    /// <exception cref="ArgumentException">A key is no setting, or a value is not what it should be; the message names it.</exception>
    public static PeregrineOptions Bind(IConfiguration section, PeregrineOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(section);
        var bound = BindAll(section, options ?? new PeregrineOptions(), s_settings);
        bound.Validate();
        return bound;
    }
}
