// What a configuration's values are taken for, and the messages where one is not what it should be.
using System.Globalization;
using System.Numerics;
using Microsoft.Extensions.Configuration;

namespace Peregrine;

internal static class ConfigurationValues
{
    internal static T BindAll<T>(IConfiguration section, T options, Dictionary<string, Func<T, IConfigurationSection, T>> settings)
    {
        foreach (var child in section.GetChildren())
        {
            if (!settings.TryGetValue(child.Key, out var set))
                throw new ArgumentException($"{child.Path} is no setting. Settings here are: {string.Join(", ", settings.Keys)}.");
            options = set(options, child);
        }
        return options;
    }

    internal static string Text(IConfigurationSection section) => section.Value ?? throw Wrong(section, "a text");

    internal static IReadOnlyList<string> Texts(IConfigurationSection section) =>
        section.Value is { } one ? one.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) : section.GetChildren().Select(Text).ToArray();

    internal static T Number<T>(IConfigurationSection section)
        where T : struct, IBinaryInteger<T>, IMinMaxValue<T> =>
        T.TryParse(section.Value, NumberStyles.Integer, CultureInfo.InvariantCulture, out var value) ? value
            : throw Wrong(section, $"a whole number from {T.MinValue} to {T.MaxValue}");

    internal static bool Flag(IConfigurationSection section) => bool.TryParse(section.Value, out var value) ? value : throw Wrong(section, "true or false");

    internal static T Choice<T>(IConfigurationSection section)
        where T : struct, Enum =>
        Enum.TryParse<T>(section.Value, ignoreCase: true, out var value) && Enum.IsDefined(value) ? value : throw Wrong(section, "one of " + string.Join(", ", Enum.GetNames<T>()));

    internal static ArgumentException Wrong(IConfigurationSection section, string wanted) => new($"{section.Path} is \"{section.Value}\"; it must be {wanted}.");
}
