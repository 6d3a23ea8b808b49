// One attempt at a list of hosts. See ../README.md.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.List;
import java.util.Map;
import java.util.Properties;

final class Hosts {
    private Hosts() { }

    static List<List<String>> connect(boolean mariadb, Map<String, Object> request) throws SQLException {
        String scheme = mariadb ? "jdbc:mariadb:sequential://" : "jdbc:mysql://";
        var options = new Properties();
        options.setProperty("user", (String) request.get("user"));
        options.setProperty("password", (String) request.get("password"));
        options.setProperty("connectTimeout", "20000");
        options.setProperty("retriesAllDown", "2");
        String url = scheme + request.get("hosts") + "/" + request.get("database");
        try (Connection session = DriverManager.getConnection(url, options)) {
            return List.of(List.of(String.valueOf(session.isValid(5))));
        }
    }
}
